"""A request as the caller means it, and as it goes out: target, fields and body, the same at every repeat."""

import json
import os
import re
from collections.abc import Mapping
from typing import Final, NamedTuple, TypeAlias
from urllib.parse import urlencode

from gatewayd_sdk._core.errors import ConfigurationError
from gatewayd_sdk._core.options import checked_fields
from gatewayd_sdk._core.uploads import Upload

_METHOD: Final = re.compile(r"[A-Za-z]{1,32}")
_PATH: Final = re.compile(r"/[\x21-\x22\x24-\x7e]*")
_encode: Final = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode

Query: TypeAlias = Mapping[str, str | int | float | bool | None]
Body: TypeAlias = bytes | Upload | None


class Request(NamedTuple):
    """Method, target after the base URL, header fields by names in lower case, body."""

    method: str
    target: str
    headers: Mapping[str, str] = {}
    body: Body = None

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


_JSON: Final = {"content-type": "application/json"}
_BYTES: Final = {"content-type": "application/octet-stream"}
_EVENTS: Final = {**_JSON, "accept": "text/event-stream"}


def json_request(path: str, document: Mapping[str, object], *, events: bool = False) -> Request:
    """A POST of a JSON object, without the members that are None; raises ConfigurationError for what JSON cannot say.

    With `events`, the answer is to be a stream of them.
    """
    said = {name: value for name, value in document.items() if value is not None}
    return Request("POST", path, _EVENTS if events else _JSON, encoded(said))


def encoded(document: object) -> bytes:
    try:
        return _encode(document).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"this cannot be sent as JSON: {error}") from error


def target_of(path: str, query: Query) -> str:
    """The path and the query; parameters that are None are left out, true and false said as JSON says them."""
    said = {name: _said(value) for name, value in query.items() if value is not None}
    return f"{path}{'&' if '?' in path else '?'}{urlencode(said)}" if said else path


def _said(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def any_request(
    method: str,
    path: str,
    *,
    json: object | None = None,
    content: bytes | None = None,
    query: Query | None = None,
    headers: Mapping[str, str] | None = None,
) -> Request:
    """A request to any route; raises ConfigurationError for what cannot be sent."""
    if not _METHOD.fullmatch(method):
        raise ConfigurationError("a method is a word such as GET")
    if not _PATH.fullmatch(path):
        raise ConfigurationError("a path begins with a slash, is ASCII, and has neither spaces nor a fragment")
    if json is not None and content is not None:
        raise ConfigurationError("give json= or content=, not both: there is one body")
    fields, body = checked_fields(headers or {}), content
    if json is not None:
        fields, body = {**_JSON, **fields}, encoded(json)
    elif content is not None:
        fields = {**_BYTES, **fields}
    return Request(method.upper(), target_of(path, query or {}), fields, body)


def fields_of(request: Request, general: Mapping[str, str]) -> dict[str, str]:
    """The header fields of all attempts: the client's, and the call's in place of them.

    A POST has an Idempotency-Key: who gets it twice knows that it is one call.
    """
    fields = {**general, **request.headers}
    if request.method == "POST" and "idempotency-key" not in fields:
        fields["idempotency-key"] = os.urandom(16).hex()
    return fields
