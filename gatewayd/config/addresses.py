"""Casts of what names a place: listeners, networks, upstreams, prefixes, store URLs, files."""

import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from gatewayd.config.report import suggestion
from gatewayd.config.settings import Address, Network
from gatewayd.config.shape import Invalid
from gatewayd.config.values import string

_FORMS: Final = "write host:port, [v6]:port, unix:/path or systemd:NAME"
_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")
_PORT = re.compile(r"[0-9]{1,5}")
_SOCKET_NAME = re.compile(r"[!-9;-~]{1,255}")  # sd_listen_fds_with_names(3): no colon, no control characters
_LONGEST_SOCKET_PATH = 107  # unix(7): sun_path, without its final NUL
_SEGMENTS = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@-]+)+")  # RFC 3986 section 3.3, nothing encoded
_URL_PATH = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+)*")


def address(value: object) -> Address:
    """Where to listen. Port 0 takes any free one."""
    text = string(value)
    if text.startswith("unix:"):
        return Address("unix", path=_socket_path(text.removeprefix("unix:")))
    if text.startswith("systemd:"):
        name = text.removeprefix("systemd:")
        if not _SOCKET_NAME.fullmatch(name):
            raise Invalid("is not the name of a socket", "FileDescriptorName= of the .socket unit")
        return Address("systemd", path=name)
    host, colon, port = text.rpartition(":")
    if not colon or not _PORT.fullmatch(port) or int(port) > 65535:
        raise Invalid("is not an address", _FORMS)
    return Address("tcp", host=_host(host), port=int(port))


def _socket_path(path: str) -> str:
    if not path:
        raise Invalid("names no path", _FORMS)
    if len(path.encode()) > _LONGEST_SOCKET_PATH:
        raise Invalid(f"is longer than the {_LONGEST_SOCKET_PATH} bytes that a socket's path can have")
    return path


def _host(host: str) -> str:
    if host.startswith("[") and host.endswith("]"):
        if isinstance(_ip(host[1:-1]), IPv6Address):
            return host[1:-1]
    elif isinstance(_ip(host), IPv4Address) or _is_host_name(host):
        return host
    raise Invalid("is not an address", "0.0.0.0 is every IPv4 interface" if host in {"", "*"} else _FORMS)


def _ip(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def is_local(listen: Address) -> bool:
    """Whether only this machine can reach it. A systemd socket may be bound to anything, so it is not."""
    if listen.kind != "tcp":
        return listen.kind == "unix"
    address = _ip(listen.host)
    return address.is_loopback if address else listen.host.rstrip(".").lower() == "localhost"


def network(value: object) -> Network:
    """A network or a single address."""
    text = string(value)
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        meant = ip_network(text, strict=False)
    except ValueError:
        raise Invalid("is not a network", 'write "10.0.0.0/8", "2001:db8::/32" or one address') from None
    raise Invalid("has bits set beyond its prefix", f'write "{meant}"')


def upstream(value: object) -> str:
    """The base URL of an agent, without a trailing slash: what is appended to it begins with one."""
    text = string(value).rstrip("/")
    url = _web_url(text)
    if url.query or "?" in text:
        raise Invalid("has a query", "the caller's is appended; leave it out")
    if not _URL_PATH.fullmatch(url.path) or _has_dot_segment(url.path):
        raise Invalid("has a path with empty, dot or malformed segments")
    return text


def web_url(value: object) -> str:
    """An http or https URL."""
    text = string(value)
    _web_url(text)
    return text


def _web_url(text: str) -> SplitResult:
    if not text.isascii() or " " in text:
        raise Invalid("is not a URL", "encode characters beyond ASCII")
    try:
        url = urlsplit(text)
        host, port = url.hostname or "", url.port
    except ValueError:
        raise Invalid("is not a URL", "write http://host:port/path") from None
    if url.scheme not in {"http", "https"}:
        raise Invalid("is not an http or https URL", "write http://host:port/path")
    if "@" in url.netloc:
        raise Invalid("has a user or password", "credentials do not belong in this URL")
    if not (_ip(host) or _is_host_name(host)) or port == 0 or url.netloc.endswith(":"):
        raise Invalid("has no valid host and port", "write http://host:port/path")
    if url.fragment or "#" in text:
        raise Invalid("has a fragment", "leave out what follows #")
    return url


def _is_host_name(host: str) -> bool:
    """A name whose last label is a number is a mistyped IPv4 address."""
    return bool(_HOST.fullmatch(host)) and not host.rstrip(".").rpartition(".")[2].isdigit()


def prefix(value: object) -> str:
    """The path under which a route answers; "/" takes whatever no other route does."""
    text = string(value)
    if text == "/":
        return text
    if not text.startswith("/"):
        raise Invalid("must begin with /", f'write "/{text}"' if text.isascii() else "")
    if text.endswith("/"):
        raise Invalid("must not end with /", f'write "{text.rstrip("/")}"')
    if not _SEGMENTS.fullmatch(text):
        raise Invalid("is not a plain path", "no empty segments, no encoded or special characters, no query")
    if _has_dot_segment(text):
        raise Invalid("has a . or .. segment")
    return text


def _has_dot_segment(path: str) -> bool:
    return any(segment in {".", ".."} for segment in path.lower().replace("%2e", ".").split("/"))


def file_path(value: object) -> Path:
    return Path(string(value))


def store_url(*forms: str) -> Callable[[str], None]:
    """The check of a store's URL, which is never quoted: it may hold a password.

    A form that ends in a colon needs nothing after it, one that ends in `:PATH` or `//…` does.
    """
    starts = {form.partition(":")[0]: form for form in forms}

    def check(text: str) -> None:
        scheme, colon, rest = text.partition(":")
        form = starts.get(scheme)
        if not colon or form is None:
            known = ", ".join(forms)
            close = suggestion(f"{scheme}:", (f"{name}:" for name in starts))
            raise Invalid(f"is not the URL of a known store ({known})", close if "mean" in close else "")
        if form.endswith(":") != (not rest) or ("//" in form and not rest.startswith("//")):
            raise Invalid(f"is not of the form {form}")

    return check
