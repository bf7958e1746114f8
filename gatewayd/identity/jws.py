"""A token's text taken apart: JWS compact serialization (RFC 7515 section 7.1), read strictly.

Nothing here has verified anything yet, and no key that a header offers (jwk, jku, x5c, x5u) is looked at.
"""

import json
from binascii import Error, a2b_base64, b2a_base64
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Final, NoReturn

from gatewayd.errors import TokenInvalid
from gatewayd.identity.base import MAX_TOKEN

MALFORMED: Final = "The token is malformed."
NOT_ALLOWED: Final = "The token's kind or signature algorithm is not allowed here."

# RFC 7519 section 5.1 and RFC 9068 section 2.1; RFC 7515 section 4.1.9 allows the long form.
_TYPES: Final = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
_STANDARD: Final = bytes.maketrans(b"-_", b"+/")  # RFC 4648 sections 4 and 5
_FOR_URLS: Final = bytes.maketrans(b"+/", b"-_")
# Far more than real tokens have, and few enough to be parsed on any stack that serves a request.
_MAX_NODES: Final = 256


@dataclass(slots=True, unsafe_hash=True, init=False)
class Header:
    """What a header says that is looked at. `key_id` is its `kid`."""

    algorithm: Final[str]
    key_id: Final[str | None]

    def __init__(self, algorithm: str, key_id: str | None) -> None:
        self.algorithm = algorithm
        self.key_id = key_id


@dataclass(slots=True, unsafe_hash=True, init=False)
class CompactJws:
    """A signed message whose signature is still to be verified, with what its header says in `written`."""

    header: Final[Header]
    written: Final[bytes]
    signing_input: Final[bytes]
    payload: Final[bytes]
    signature: Final[bytes]

    def __init__(self, header: Header, written: bytes, signing_input: bytes, payload: bytes, signature: bytes) -> None:
        self.header = header
        self.written = written
        self.signing_input = signing_input
        self.payload = payload
        self.signature = signature

    @property
    def algorithm(self) -> str:
        return self.header.algorithm

    @property
    def key_id(self) -> str | None:
        return self.header.key_id


_NONE: Final[Mapping[bytes, Header]] = {}


def parse_jws(token: str, algorithms: Container[str], known: Mapping[bytes, Header] = _NONE) -> CompactJws:
    """Take a token apart. Raises TokenInvalid, also when its algorithm is none of `algorithms`.

    `known` are headers that were judged before, by their text.
    """
    parts = token.encode().split(b".") if token.isascii() and len(token) <= MAX_TOKEN else []
    if len(parts) != 3:  # header, payload, signature
        raise TokenInvalid(MALFORMED)
    written = parts[0]
    header = known.get(written)
    head = b"" if header is not None else _decoded(written)
    payload, signature = _decoded(parts[1]), _decoded(parts[2])
    if head is None or payload is None or signature is None:
        raise TokenInvalid(MALFORMED)
    if header is None:
        header = _judged_header(head, algorithms)
    return CompactJws(header, written, written + b"." + parts[1], payload, signature)


def json_object(text: bytes) -> dict[str, object] | None:
    """The members of a JSON object (RFC 8259); None for any other text.

    Stricter than the json module: UTF-8 only, no repeated member at any depth, no NaN or Infinity.
    """
    if text.count(b"{") + text.count(b"[") > _MAX_NODES:
        return None
    try:
        written = text.decode()
        if written.startswith("{"):
            value, end = _DECODER.raw_decode(written)
        else:
            value, end = None, 0
        if end < len(written):  # there is white space around it, or more
            value = _DECODER.decode(written)
    except (ValueError, RecursionError):  # an integer of more than 4,300 digits is a ValueError, too
        return None
    return value if isinstance(value, dict) else None


def _judged_header(text: bytes, algorithms: Container[str]) -> Header:
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
    return Header(algorithm, key_id)


def _decoded(part: bytes) -> bytes | None:
    """None unless the part is what an encoder writes: a lenient reader lets one token have many texts."""
    try:
        decoded = a2b_base64(part.translate(_STANDARD) + b"==")
    except Error:
        return None
    written = b2a_base64(decoded, newline=False).rstrip(b"=").translate(_FOR_URLS)
    return decoded if decoded and written == part else None


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a repeated member")
    return members


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_constant)
