"""Frozen results from JSON: typed members, and the unknown ones kept in `extra`."""

import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import datetime
from typing import Any, Self, Union, get_args, get_origin, get_type_hints

from gatewayd_sdk._core.answers import Answer, response_error
from gatewayd_sdk._core.limits import RateLimit, moment_in, rate_limit_in

Reader = Callable[[object], Any]
Plan = tuple[tuple[str, str, type | None, Reader, bool], ...]


class Mismatch(Exception):
    """A member is not what it must be; the message says where."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What the call took: the `quantity` of the route's unit that the agent stated, and its own `details` if any."""

    quantity: int | None
    details: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Part of a result. `extra` has the members that this version does not know."""

    extra: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def read(cls, value: object) -> Self:
        """The record in a JSON value; raises Mismatch."""
        return cls(**members_of(cls, value))


class Told:
    """What an answer says of the call, for whatever has one as `raw`."""

    __slots__ = ()
    raw: Answer

    @property
    def request_id(self) -> str | None:
        """The id under which the gateway knows the call."""
        return self.raw.request_id

    @property
    def rate_limit(self) -> RateLimit | None:
        """The limits that the call was counted under, None where none apply."""
        return rate_limit_in(self.raw.headers)

    @property
    def usage(self) -> Usage:
        """What the call took."""
        return usage_of(self.raw, None)


def usage_of(answer: Answer, details: object) -> Usage:
    digits = answer.headers.get("x-usage-quantity", "")
    stated = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 16 else None
    return Usage(stated, details if isinstance(details, dict) else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Result(Record, Told):
    """What a method returns: the members that callers rely on; `raw` is the answer that they were read from."""

    raw: Answer = field(repr=False, compare=False)

    @property
    def usage(self) -> Usage:
        """What the call took."""
        return usage_of(self.raw, self.extra.get("usage"))

    @classmethod
    def of(cls, answer: Answer) -> Self:
        """The result in an answer; raises APIResponseError that names the member at fault."""
        try:
            return cls(raw=answer, **members_of(cls, answer.members()))
        except Mismatch as error:
            raise response_error(f"the answer is not what {cls.__name__} must be: {error}", answer) from error


_PLANS: dict[type[Record], Plan] = {}  # one entry per class of this package


def members_of(cls: type[Record], value: object) -> dict[str, Any]:
    """The arguments of `cls` in a JSON object; raises Mismatch."""
    if not isinstance(value, dict):
        raise Mismatch(f"an object is needed, not {type(value).__name__}")
    rest = value.copy()
    read: dict[str, Any] = {"extra": rest}
    for name, key, plain, reader, needed in _PLANS.get(cls) or _planned(cls):
        if key in rest:
            member = rest.pop(key)
            read[name] = member if member.__class__ is plain else _inside(key, reader, member)
        elif needed:
            raise Mismatch(f"{key} is missing")
    return read


def _inside(key: str, reader: Reader, value: object) -> Any:
    try:
        return reader(value)
    except Mismatch as error:
        raise Mismatch(f"{key}: {error}") from error


def _planned(cls: type[Record]) -> Plan:
    """Per member: its name here and in JSON, the type taken as it is, what reads others, whether it must be there."""
    hints = get_type_hints(cls)
    _PLANS[cls] = tuple(
        (
            each.name,
            each.metadata.get("key", each.name),
            hints[each.name] if hints[each.name] in (str, int, bool, float) else None,
            _reader(hints[each.name]),
            _needed(each),
        )
        for each in fields(cls)
        if each.name not in ("extra", "raw")
    )
    return _PLANS[cls]


def _needed(each: Any) -> bool:
    return each.default is MISSING and each.default_factory is MISSING


def _reader(hint: Any) -> Reader:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        inner = _reader(next(each for each in arguments if each is not types.NoneType))
        return lambda value: None if value is None else inner(value)
    if origin is tuple:
        return _sequence(_reader(arguments[0]))
    if origin is not None:
        return _mapping(_reader(arguments[1]))
    if hint is object:
        return lambda value: value
    return hint.read if issubclass(hint, Record) else _scalar(hint)


def _sequence(inner: Reader) -> Reader:
    def read(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise Mismatch(f"a list is needed, not {type(value).__name__}")
        return tuple(map(inner, value))

    return read


def _mapping(inner: Reader) -> Reader:
    def read(value: object) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Mismatch(f"an object is needed, not {type(value).__name__}")
        return {name: inner(each) for name, each in value.items()}

    return read


def _scalar(kind: type) -> Reader:
    accepted = (int, float) if kind is float else str if kind is datetime else kind

    def read(value: object) -> Any:
        if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
            raise Mismatch(f"{kind.__name__} is needed, not {type(value).__name__}")
        if kind is not datetime:
            return value
        if (moment := moment_in(value)) is None:
            raise Mismatch("an RFC 3339 time is needed")
        return moment

    return read
