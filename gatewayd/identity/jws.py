"""A token's text taken apart: JWS compact serialization (RFC 7515 section 7.1), read strictly.

Nothing here has verified anything yet, and no key that a header offers (jwk, jku, x5c, x5u) is looked at.
"""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Container
from dataclasses import dataclass
from typing import Final, NoReturn

from gatewayd.errors import TokenInvalid
from gatewayd.identity.base import MAX_TOKEN

MALFORMED: Final = "The token is malformed."
NOT_ALLOWED: Final = "The token's kind or signature algorithm is not allowed here."

# RFC 7519 section 5.1 and RFC 9068 section 2.1; RFC 7515 section 4.1.9 allows the long form.
_TYPES: Final = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
_COMPACT: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
# Far more than real tokens have, and few enough to be parsed on any stack that serves a request.
_MAX_NODES: Final = 256


@dataclass(frozen=True, slots=True)
class CompactJws:
    """A signed message whose signature is still to be verified. `key_id` is the header's `kid`."""

    algorithm: str
    key_id: str | None
    signing_input: bytes
    payload: bytes
    signature: bytes


def parse_jws(token: str, algorithms: Container[str]) -> CompactJws:
    """Take a token apart. Raises TokenInvalid, also when its algorithm is none of `algorithms`."""
    found = _COMPACT.fullmatch(token) if len(token) <= MAX_TOKEN else None
    if found is None:
        raise TokenInvalid(MALFORMED)
    head, payload, signature = (_decoded(part) for part in found.groups())
    if head is None or payload is None or signature is None:
        raise TokenInvalid(MALFORMED)
    algorithm, key_id = _judged_header(head, algorithms)
    return CompactJws(algorithm, key_id, token[: found.end(2)].encode(), payload, signature)


def json_object(text: bytes) -> dict[str, object] | None:
    """The members of a JSON object (RFC 8259); None for any other text.

    Stricter than the json module: UTF-8 only, no repeated member at any depth, no NaN or Infinity.
    """
    if text.count(b"{") + text.count(b"[") > _MAX_NODES:
        return None
    try:
        value = _DECODER.decode(text.decode())
    except (ValueError, RecursionError):  # an integer of more than 4,300 digits is a ValueError, too
        return None
    return value if isinstance(value, dict) else None


def _judged_header(text: bytes, algorithms: Container[str]) -> tuple[str, str | None]:
    header = json_object(text)
    if header is None:
        raise TokenInvalid(MALFORMED)
    algorithm, key_id, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    if not isinstance(algorithm, str) or algorithm not in algorithms:
        raise TokenInvalid(NOT_ALLOWED)
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise TokenInvalid(NOT_ALLOWED)
    # RFC 7515 section 4.1.11: no extension is understood here, so a critical one must be refused.
    if "crit" in header or "b64" in header:
        raise TokenInvalid(NOT_ALLOWED)
    if key_id is not None and not isinstance(key_id, str):
        raise TokenInvalid(MALFORMED)
    return algorithm, key_id


def _decoded(part: str) -> bytes | None:
    """None unless the part is what an encoder writes: a lenient reader lets one token have many texts."""
    if len(part) % 4 == 1:
        return None
    decoded = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    return decoded if urlsafe_b64encode(decoded).rstrip(b"=") == part.encode() else None


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a repeated member")
    return members


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_constant)
