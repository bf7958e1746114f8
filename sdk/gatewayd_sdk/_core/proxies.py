"""Through which proxy the gateway is reached: by argument, else as the environment says for everybody."""

from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit
from urllib.request import getproxies_environment, proxy_bypass

from gatewayd_sdk._core.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Proxy:
    """`url` has no credentials; they are in `headers`."""

    url: str
    headers: dict[str, str] = field(repr=False)

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        parts = urlsplit(self.url)
        return parts.port or (443 if parts.scheme == "https" else 80)


def proxy_for(base_url: str, argument: str | None) -> Proxy | None:
    """The proxy to use: `argument`, none if that is empty; without it HTTP_PROXY, HTTPS_PROXY and NO_PROXY decide."""
    text = argument if argument is not None else _from_environment(base_url)
    return _read(text) if text else None


def _from_environment(base_url: str) -> str:
    proxies = getproxies_environment()
    parts = urlsplit(base_url)
    if not proxies or proxy_bypass(parts.netloc):
        return ""
    return proxies.get(parts.scheme) or proxies.get("all") or ""


def _read(text: str) -> Proxy:
    """Raises ConfigurationError, which never quotes the URL: there may be a password in it."""
    parts = _split(text)
    if parts is None:
        raise ConfigurationError("the proxy must be the URL of an HTTP proxy, such as http://proxy.example:3128")
    host = parts.netloc.rpartition("@")[2]
    url = urlunsplit((parts.scheme, host, "", "", ""))
    if parts.username is None:
        return Proxy(url, {})
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    return Proxy(url, {"proxy-authorization": f"Basic {b64encode(pair).decode()}"})


def _split(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        return None
    return parts if usable and text.isascii() and text.isprintable() else None
