"""What a request says, read field by field: the typed value, or the `Fault` that names what is wrong with it."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NoReturn


class Fault(Exception):
    """A request that an agent refuses; `message` names what is wrong and never quotes what was sent."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message

    @property
    def document(self) -> dict[str, object]:
        return {"code": self.code, "message": self.message}


def invalid(name: str, reason: str) -> Fault:
    """The 400 for one field of a request."""
    return Fault(400, "invalid_field", f"{name} {reason}")


@dataclass(frozen=True, slots=True)
class Fields:
    """A JSON object being read: each reader gives the typed value or raises the `Fault` that names the field."""

    values: Mapping[str, object]

    def __contains__(self, name: str) -> bool:
        return self.values.get(name) is not None

    def text(self, name: str, *, most: int = 10_000) -> str:
        """A text that must be there; `most` is in characters."""
        if (value := self.optional_text(name, most=most)) is None:
            raise invalid(name, "is required and must be a text")
        return value

    def optional_text(self, name: str, *, most: int = 10_000) -> str | None:
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, str) or not value.strip():
            raise invalid(name, "must be a text that is not empty")
        if len(value) > most:
            raise invalid(name, f"must be at most {most} characters")
        return value

    def choice(self, name: str, options: Iterable[str], default: str) -> str:
        value = self.values.get(name, default)
        if value not in (known := tuple(options)):
            raise invalid(name, f"must be one of {', '.join(filter(None, known))}")
        return str(value)

    def integer(self, name: str, *, default: int, low: int, high: int) -> int:
        value = self.values.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise invalid(name, f"must be a whole number from {low} to {high}")
        return value

    def number(self, name: str, *, default: float, low: float, high: float) -> float:
        return finite(self.values.get(name, default), name, low=low, high=high)

    def flag(self, name: str) -> bool:
        """True or false, false when absent."""
        value = self.values.get(name, False)
        if not isinstance(value, bool):
            raise invalid(name, "must be true or false")
        return value


def finite(value: object, name: str, *, low: float, high: float) -> float:
    """A number between the bounds; raises `Fault` for anything else, an infinite or a boolean one included."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise invalid(name, f"must be a number from {low:g} to {high:g}")
    return float(value)


def parse_object(raw: bytes) -> dict[str, object]:
    """The JSON object in `raw`; raises `Fault` for any other text, for NaN and for lone surrogates."""
    try:
        value = json.loads(raw.decode(), parse_constant=_refuse_constant, parse_float=_finite_float)
        if b"\\ud" in raw.lower():
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Fault(400, "invalid_json", f"the body is not JSON: {where}") from error
    except (ValueError, RecursionError) as error:
        raise Fault(400, "invalid_json", "the body is not plain JSON in UTF-8") from error
    if not isinstance(value, dict):
        raise Fault(400, "invalid_json", "the body must be a JSON object")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON (RFC 8259 section 6)")


def _finite_float(digits: str) -> float:
    if math.isinf(value := float(digits)):
        raise ValueError("a number is too large")
    return value
