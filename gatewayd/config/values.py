"""Casts of single values: numbers, names, durations, sizes, rates. Each takes TOML's value or INI's Text."""

import re
from collections.abc import Callable
from typing import Final

from gatewayd.config.document import Text
from gatewayd.config.settings import Charged
from gatewayd.config.shape import Invalid
from gatewayd.model import PERIOD_SECONDS, Rate

MOST_UNITS: Final = 10**15 - 1
"""What 15 digits can say: the largest quantity an agent may state, so the largest of any price or quota."""

_SECONDS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_BYTES: Final = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_LONGEST = 366 * 86400
_DURATION = re.compile(r"([0-9]{1,15})(ms|s|m|h|d)")
_SIZE = re.compile(r"([0-9]{1,15})(B|KiB|MiB|GiB|TiB)")
_RATE = re.compile(rf"([0-9]{{1,15}})/({'|'.join(PERIOD_SECONDS)})(?: +burst +([0-9]{{1,15}}))?")
_WHOLE = re.compile(r"[+-]?[0-9]{1,3}(?:_?[0-9]{1,3}){0,10}")
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_SCOPE = re.compile(r"[!#-\[\]-~]{1,256}")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
_TRUTH: Final = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


# Those of llhttp, but for CONNECT, which asks for no path, and PRI, which is no method.
METHODS: Final = frozenset(
    [
        "ACL",
        "BIND",
        "CHECKOUT",
        "COPY",
        "DELETE",
        "GET",
        "HEAD",
        "LINK",
        "LOCK",
        "M-SEARCH",
        "MERGE",
        "MKACTIVITY",
        "MKCALENDAR",
        "MKCOL",
        "MOVE",
        "NOTIFY",
        "OPTIONS",
        "PATCH",
        "POST",
        "PROPFIND",
        "PROPPATCH",
        "PURGE",
        "PUT",
        "QUERY",
        "REBIND",
        "REPORT",
        "SEARCH",
        "SOURCE",
        "SUBSCRIBE",
        "TRACE",
        "UNBIND",
        "UNLINK",
        "UNLOCK",
        "UNSUBSCRIBE",
    ]
)


def string(value: object) -> str:
    """A text that is not empty and has no control characters."""
    if not isinstance(value, str):
        raise Invalid("must be a string", "write it in quotes")
    if not value.strip():
        raise Invalid("is empty", "leave the key out, or give it a value")
    if not value.isprintable():
        raise Invalid("has characters that cannot be printed")
    return str(value)


def text_or_empty(value: object) -> str:
    return "" if isinstance(value, str) and not value else string(value)


def claim(value: object) -> str:
    """A claim's name, or a JSON pointer into the claims (RFC 6901): it begins with a slash."""
    text = string(value)
    if text.startswith("/") and (text.endswith("/") or "//" in text or re.search(r"~(?![01])", text)):
        raise Invalid("is not a JSON pointer", 'write "/realm_access/roles"')
    return text


def scope(value: object) -> str:
    """RFC 6749 section 3.3."""
    text = string(value)
    if not _SCOPE.fullmatch(text):
        raise Invalid("is not a scope", "printable ASCII without spaces, quotes and backslashes")
    return text


def boolean(value: object) -> bool:
    """INI's yes, no, on and off are configparser's; TOML has only true and false."""
    if isinstance(value, Text):
        value = _TRUTH.get(value.lower())
    if not isinstance(value, bool):
        raise Invalid("must be true or false")
    return value


def whole(least: int, most: int) -> Callable[[object], int]:
    """The cast of whole numbers from `least` to `most`."""

    def read(value: object) -> int:
        if isinstance(value, Text) and _WHOLE.fullmatch(value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise Invalid("must be a whole number", "write it without quotes" if isinstance(value, str) else "")
        if value < least:
            raise Invalid(f"must be at least {least}")
        if value > most:
            raise Invalid(f"must be at most {most}")
        return value

    return read


def whole_or(word: str, stands_for: Charged, number: Callable[[object], int]) -> Callable[[object], Charged]:
    """The cast of numbers that can also be one word."""

    def read(value: object) -> Charged:
        if value == word:
            return stands_for
        if isinstance(value, str) and not (isinstance(value, Text) and _WHOLE.fullmatch(value)):
            raise Invalid(f'must be a whole number or "{word}"')
        return number(value)

    return read


def choice(*words: str) -> Callable[[object], str]:
    """The cast of a word from a closed list."""

    def read(value: object) -> str:
        if not isinstance(value, str) or value not in words:
            raise Invalid(f"must be {' or '.join(words)}" if len(words) < 5 else f"must be one of {', '.join(words)}")
        return str(value)

    return read


def identifier(value: object) -> str:
    """A name that can stand in a metric, a header, a URL and a table: letters, digits, `_`, `.`, `-`."""
    if not _IDENTIFIER.fullmatch(string(value)):
        raise Invalid("is not a name", "letters, digits, _ . - and at most 64 of them, a letter or digit first")
    return str(value)


def method(value: object) -> str:
    """RFC 9110 section 9.1: a token; upper case, as every registered one. CONNECT asks for no path."""
    name = string(value)
    if not _TOKEN.fullmatch(name):
        raise Invalid("is not a method")
    if name != name.upper():
        raise Invalid("must be in upper case", f'write "{name.upper()}"')
    if name == "CONNECT":
        raise Invalid("CONNECT has no path to route by")
    if name not in METHODS:
        raise Invalid("is a method that the HTTP parser does not read", f"it reads {', '.join(sorted(METHODS))}")
    return name


def duration(value: object) -> float:
    """Seconds of "250ms", "2s", "5m", "1h" or "1d"."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        example = f"{value}s" if isinstance(value, int) else "250ms"
        raise Invalid("is a duration without a unit", f'write "{example}"')
    if not isinstance(value, str) or not (found := _DURATION.fullmatch(value)):
        raise Invalid("is not a duration", 'write "250ms", "2s", "5m" or "1h"')
    seconds = int(found[1]) / 1000 if found[2] == "ms" else float(int(found[1]) * _SECONDS[found[2]])
    if seconds > _LONGEST:
        raise Invalid("is longer than a year")
    return seconds


def positive_duration(value: object) -> float:
    if not (seconds := duration(value)):
        raise Invalid("must be longer than 0s")
    return seconds


def size(least: int, most: int = 2**50) -> Callable[[object], int]:
    """The cast of sizes: bytes of "64KiB", "25MiB", "1GiB", or a plain number of bytes."""
    number = whole(least, most)

    def read(value: object) -> int:
        if not isinstance(value, str) or (isinstance(value, Text) and _WHOLE.fullmatch(value)):
            return number(value)
        if not (found := _SIZE.fullmatch(value)):
            raise Invalid("is not a size", 'write "64KiB", "25MiB", "1GiB" or a number of bytes')
        return number(int(found[1]) * _BYTES[found[2]])

    return read


def rate(value: object) -> Rate:
    """A Rate of "60/minute" or "60/minute burst 20"."""
    if not isinstance(value, str) or not (found := _RATE.fullmatch(value)):
        raise Invalid("is not a rate", 'write "60/minute" or "60/minute burst 20"; second, minute, hour or day')
    limit, burst = int(found[1]), int(found[3] or found[1])
    if not limit or not burst:
        raise Invalid("must let at least 1 request through")
    return Rate(limit, found[2], burst)
