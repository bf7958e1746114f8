"""How calls are made: times, repeats, header fields; what cannot be used is refused before anything is sent."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from gatewayd_sdk._core.errors import ConfigurationError
from gatewayd_sdk._version import __version__

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\t\x20-\x7e]*")
_FRAMING: Final = frozenset({"connection", "content-length", "host", "transfer-encoding", "upgrade"})
_OURS: Final = {
    "user-agent": f"gatewayd-sdk/{__version__}",
    "accept": "application/json",
    "accept-encoding": "gzip, deflate",
}


@dataclass(frozen=True, slots=True)
class Timeout:
    """Seconds: to connect, for the longest silence, and for the whole call with its repeats; None is no limit.

    `total` ends for a stream with its head: afterwards `idle` rules alone.
    """

    connect: float = 5.0
    idle: float = 60.0
    total: float | None = 300.0

    def __post_init__(self) -> None:
        for seconds in (self.connect, self.idle, 1.0 if self.total is None else self.total):
            if not 0 < seconds < math.inf:
                raise ConfigurationError("a timeout must be a number of seconds above 0; total=None is no limit")

    @classmethod
    def of(cls, given: "Timeout | float") -> "Timeout":
        """A bare number is the most that the whole call may take, connecting and silences included."""
        if isinstance(given, Timeout):
            return given
        if isinstance(given, bool) or not isinstance(given, int | float):
            raise ConfigurationError("timeout= must be a Timeout or a number of seconds")
        return cls(min(cls().connect, given), given, given)


@dataclass(frozen=True, slots=True)
class Options:
    """What `with_options` can change. `max_wait` is the longest Retry-After, in seconds, that is waited for."""

    timeout: Timeout = field(default_factory=Timeout)
    max_retries: int = 2
    headers: Mapping[str, str] = field(default_factory=dict)
    max_wait: float = 60.0
    fields: Mapping[str, str] = field(init=False, repr=False)
    """The header fields of every call: ours, and `headers` in place of them."""

    def __post_init__(self) -> None:
        if self.max_retries < 0:
            raise ConfigurationError("max_retries must be 0 or more")
        object.__setattr__(self, "fields", {**_OURS, **checked_fields(self.headers)})


def checked_fields(headers: Mapping[str, str]) -> dict[str, str]:
    """Header fields by names in lower case. Raises ConfigurationError, which never quotes a value."""
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise ConfigurationError(f"{name!r} is not the name of a header field")
        if name.lower() in _FRAMING:
            raise ConfigurationError(f"the header field {name} is the client's own to set")
        if not _VALUE.fullmatch(value):
            raise ConfigurationError(f"the value of the header field {name} must be one line of ASCII")
    return {name.lower(): value for name, value in headers.items()}


def base_url(argument: str | None, environ: Mapping[str, str]) -> str:
    """The gateway's URL without a slash at its end; raises ConfigurationError for what is none."""
    text = (argument or environ.get("GATEWAYD_BASE_URL") or "").strip()
    if not text:
        raise ConfigurationError("no base URL: give base_url= or set GATEWAYD_BASE_URL, such as http://127.0.0.1:8080")
    if not _is_base_url(text):
        raise ConfigurationError("the base URL must look like https://host:port, without user, query or fragment")
    return text.rstrip("/")


def _is_base_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        named = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    more = parts.username is not None or parts.query or parts.fragment
    return named and not more and text.isascii() and text.isprintable() and " " not in text


def check_token(token: object) -> str:
    """The token, if it can be sent; raises ConfigurationError, which never quotes it."""
    if not isinstance(token, str):
        raise ConfigurationError(f"the token must be a text, not {type(token).__name__}")
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigurationError("the token must be printable ASCII without spaces: is there a line end in it?")
    return token
