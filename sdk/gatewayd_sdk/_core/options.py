"""How a client is set up: by argument, else by environment; what cannot be used is refused before anything is sent."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from gatewayd_sdk._core.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Timeout:
    """Seconds: to connect, for the longest silence, and for the whole call with its repeats; None is no limit.

    `total` ends for a stream with its head: afterwards `idle` rules alone.
    """

    connect: float = 5.0
    idle: float = 60.0
    total: float | None = 300.0

    def __post_init__(self) -> None:
        for seconds in (self.connect, self.idle, math.inf if self.total is None else self.total):
            if not seconds > 0:
                raise ConfigurationError("a timeout must be more than 0 seconds")


@dataclass(frozen=True, slots=True)
class Options:
    """What `with_options` can change. `max_wait` is the longest Retry-After, in seconds, that is waited for."""

    timeout: Timeout = field(default_factory=Timeout)
    max_retries: int = 2
    max_wait: float = 60.0
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.max_retries < 0:
            raise ConfigurationError("max_retries must be 0 or more")
        for name, value in self.headers.items():
            check_field(name, value)


def check_field(name: str, value: str) -> None:
    """Raises ConfigurationError for a header field that cannot be sent; its value is never quoted."""
    if not name or not name.isascii() or any(each in " :\r\n\t" for each in name):
        raise ConfigurationError(f"{name!r} is not the name of a header field")
    if any(each in "\r\n\0" for each in value) or not value.isascii():
        raise ConfigurationError(f"the value of the header field {name} must be one line of ASCII")


def base_url(argument: str | None, environ: Mapping[str, str]) -> str:
    """The gateway's URL without a slash at its end; raises ConfigurationError for what is none."""
    text = (argument or environ.get("GATEWAYD_BASE_URL") or "").strip()
    if not text:
        raise ConfigurationError("no base URL: give base_url= or set GATEWAYD_BASE_URL, such as http://127.0.0.1:8080")
    try:
        parts = urlsplit(text)
        well_formed = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        well_formed = False
    if not well_formed or parts.username is not None or parts.query or parts.fragment or any(map(str.isspace, text)):
        raise ConfigurationError("the base URL must look like https://host:port, without user, query or fragment")
    return text.rstrip("/")


def check_token(token: object) -> str:
    """The token, if it can be sent; raises ConfigurationError, which never quotes it."""
    if not isinstance(token, str):
        raise ConfigurationError(f"the token must be a text, not {type(token).__name__}")
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigurationError("the token must be printable ASCII without spaces: is there a line end in it?")
    return token
