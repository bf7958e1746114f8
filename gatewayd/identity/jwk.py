"""Keys as providers publish them (RFC 7517) → keys that verify. Pure: text in, KeySet out.

What a provider says may be broken in part: a key that cannot serve is left out and told, the others serve.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm

from gatewayd.errors import GatewayError
from gatewayd.identity.signatures import VerificationKey
from gatewayd.keys import ALGORITHMS, PublicKey, needs_secret

MAX_BYTES: Final = 1024 * 1024
"""The longest document that is read; real ones have some KiB."""
MAX_KEYS: Final = 1_000
MAX_TRIED: Final = 4
"""How many keys a token is tried with that names none, or one that several share."""

_PUBLISHED: Final = tuple(name for name in ALGORITHMS if not needs_secret(name))
_KINDS: Final = {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA"}  # how PyJWT reads a key does not depend on the hash
_MEMBERS: Final = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_PRIVATE: Final = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")
# Base64 of 16,384 bits, and of the largest exponent of FIPS 186-5 section 5.1: larger numbers cost whoever computes
# with them, which is this gateway for every token that names the key.
_MAX_MEMBER, _MAX_EXPONENT = 2_732, 43
MAX_ID: Final = 256
"""The longest `kid` that a key may have, in characters."""


At = tuple[str, str | None]
"""What a token's header says of its key: `alg` and `kid`."""


class Unusable(GatewayError):
    """A document, or a key in it, that cannot serve; the message says why, for the log, and quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class KeySet:
    """Keys by algorithm and id; under no id, those that a token without one is tried with. Immutable."""

    keys: Mapping[At, tuple[VerificationKey, ...]]
    size: int = 0

    def find(self, algorithm: str, key_id: str | None) -> tuple[VerificationKey, ...]:
        """Those that may have signed a token whose header says this."""
        return self.keys.get((algorithm, key_id), ())

    def without(self, others: "KeySet") -> "KeySet":
        """What is here and not there."""
        left = {at: tuple(key for key in keys if key not in others.find(*at)) for at, keys in self.keys.items()}
        return KeySet({at: keys for at, keys in left.items() if keys}, sum(map(bool, left.values())))


NO_KEYS: Final = KeySet({})


def read_keys(document: bytes, tell: Callable[[str], None]) -> KeySet:
    """The keys of a JWK Set. Raises Unusable if none of them can serve; `tell` hears of each that cannot, by place."""
    entries = read_object(document).get("keys")
    if not isinstance(entries, list):
        raise Unusable("it has no list of keys")
    if len(entries) > MAX_KEYS:
        raise Unusable(f"it has {len(entries)} keys, more than {MAX_KEYS}")
    found: defaultdict[tuple[str, str | None], list[VerificationKey]] = defaultdict(list)
    usable = 0
    for place, entry in enumerate(entries, 1):
        try:
            keys = list(_keys(entry))
        except Unusable as fault:
            tell(f"key {place} is left out: {fault}")
            continue
        usable += bool(keys)
        for algorithm, key_id, key in keys:
            found[algorithm, key_id].append(key)
    if not usable:
        raise Unusable("it has no key that verifies signatures")
    return KeySet(dict(_bounded(found.items())), usable)


def read_object(text: bytes) -> dict[str, object]:
    """The members of a JSON object. Raises Unusable."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise Unusable("it is not JSON") from None
    if not isinstance(value, dict):
        raise Unusable("it is not a JSON object")
    return value


def _bounded(
    found: Iterable[tuple[tuple[str, str | None], list[VerificationKey]]],
) -> Iterator[tuple[tuple[str, str | None], tuple[VerificationKey, ...]]]:
    """A token that could be any of many keys' is none's: each try costs as much as a verification."""
    for at, keys in found:
        if len(keys) <= MAX_TRIED:
            yield at, tuple(keys)


def _keys(entry: object) -> Iterator[tuple[str, str | None, VerificationKey]]:
    """Every use of one JWK, under its id and under none; nothing for one that is not for signatures."""
    if not isinstance(entry, dict):
        raise Unusable("it is not an object")
    if not _signs(entry):
        return
    key_id = entry.get("kid")
    if key_id is not None and not (isinstance(key_id, str) and 0 < len(key_id) <= MAX_ID):
        raise Unusable("its kid is not a short text")
    key = _public_key(entry)
    stated = entry.get("alg")
    made = [made for name in ((stated,) if stated is not None else _PUBLISHED) if (made := _bound(name, key))]
    if not made:
        raise Unusable("it fits no signature algorithm" if stated is None else "it does not fit its alg")
    for algorithm, verifying in made:
        if key_id is not None:
            yield algorithm, key_id, verifying
        yield algorithm, None, verifying


def _signs(entry: Mapping[str, object]) -> bool:
    """Whether the key is there to verify signatures (RFC 7517 sections 4.2 to 4.4)."""
    operations, algorithm = entry.get("key_ops", ["verify"]), entry.get("alg")
    return (
        entry.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
        and (algorithm is None or algorithm in _PUBLISHED)
    )


def _public_key(entry: Mapping[str, object]) -> PublicKey:
    kind = entry.get("kty")
    if any(name in entry for name in _PRIVATE):
        raise Unusable("it shows what must stay secret")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise Unusable("its kty is none of RSA, EC, OKP")
    members = {name: entry.get(name) for name in _MEMBERS[kind]}
    if not all(isinstance(value, str) and 0 < len(value) <= _longest(name) for name, value in members.items()):
        raise Unusable("a member of it is missing or out of proportion")
    try:
        key = jwt.PyJWK.from_dict({"kty": kind, **members}, _KINDS[kind]).key
    except (jwt.PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, OverflowError):  # PyJWT's words quote the key
        raise Unusable("it is not a key of its kty") from None
    if not isinstance(key, PublicKey):
        raise Unusable("it is not a public key")
    return key


def _longest(member: str) -> int:
    return _MAX_EXPONENT if member == "e" else _MAX_MEMBER


def _bound(algorithm: object, key: PublicKey) -> tuple[str, VerificationKey] | None:
    try:
        return str(algorithm), VerificationKey.of_public_key(str(algorithm), key)
    except ValueError:
        return None
