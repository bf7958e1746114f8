"""A request as the caller means it, and as it goes out: URL, fields and body, the same at every repeat."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

from gatewayd_sdk._core.errors import ConfigurationError
from gatewayd_sdk._core.headers import Headers
from gatewayd_sdk._core.options import check_field
from gatewayd_sdk._version import __version__

_FIELDS: Final = Headers(
    (
        ("user-agent", f"gatewayd-sdk/{__version__}"),
        ("accept", "application/json"),
        ("accept-encoding", "gzip, deflate"),
    )
)


@dataclass(frozen=True, slots=True)
class Request:
    """Method, path after the base URL, and what goes with it."""

    method: str
    path: str
    query: Mapping[str, str | int | None] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None

    def __post_init__(self) -> None:
        if not self.path.startswith("/") or any(map(str.isspace, self.path)) or "#" in self.path:
            raise ConfigurationError("a path begins with a slash and has neither spaces nor a fragment")
        if not self.method.isascii() or not self.method.isalpha():
            raise ConfigurationError("a method is a word such as GET")
        for name, value in self.headers.items():
            check_field(name, value)

    @property
    def target(self) -> str:
        """The path and the query; parameters that are None are left out."""
        said = {name: value for name, value in self.query.items() if value is not None}
        return f"{self.path}?{urlencode(said)}" if said else self.path


def json_request(method: str, path: str, document: Mapping[str, object]) -> Request:
    """A request with a JSON object as body, without the members that are None.

    Raises TypeError or ValueError for what JSON cannot say.
    """
    said = {name: value for name, value in document.items() if value is not None}
    body = json.dumps(said, allow_nan=False, separators=(",", ":")).encode()
    return Request(method, path, headers={"content-type": "application/json"}, body=body)


def fields_of(request: Request, general: Mapping[str, str]) -> Headers:
    """The header fields of all attempts: ours, the client's, the call's; each in place of the one before.

    A POST has an Idempotency-Key: who gets it twice knows that it is one call.
    """
    fields = _FIELDS.with_fields(general).with_fields(request.headers)
    if request.method.upper() == "POST" and "idempotency-key" not in fields:
        return fields.with_fields({"idempotency-key": secrets.token_hex(16)})
    return fields
