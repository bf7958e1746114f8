"""Verified tokens remembered: bounded, least recently used first out, never past their end."""

from collections import OrderedDict
from hashlib import blake2b
from math import inf
from secrets import token_bytes
from typing import Final

from gatewayd.model import Identity

_SECRET: Final = 16  # bytes in each of the two places that a digest has for them
_LATE: Final = 8  # a token is the most recently used again after an eighth of as many looks as there is room for


class _Verified:
    __slots__ = ("identity", "moved", "until")

    def __init__(self, identity: Identity, until: float, moved: int) -> None:
        self.identity = identity
        self.until = until
        self.moved = moved


class VerifiedTokens:
    """Identities by digest of the token's text, so that no token is kept in memory.

    The digest begins from 256 bits of chance in each cache: nobody outside can prepare two texts that meet in one
    entry. They are its salt and its person (RFC 7693 section 2.8); a key would be a block more to digest with each
    token. Refused tokens are not remembered, or a flood of them would push good ones out. Mutable, being a cache.
    """

    __slots__ = ("_capacity", "_hash", "_identities", "_looks")

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError("a capacity must be at least 1")
        self._capacity = capacity
        self._hash = blake2b(salt=token_bytes(_SECRET), person=token_bytes(_SECRET), digest_size=16)
        self._identities: OrderedDict[bytes, _Verified] = OrderedDict()
        self._looks = 0

    def __len__(self) -> int:
        return len(self._identities)

    def find(self, token: str | bytes, now: float) -> Identity | None:
        """What the token proved before, while `now` (seconds since the epoch) is before its end here."""
        return self.at(self.digest(token), now)

    def at(self, key: bytes, now: float) -> Identity | None:
        """As `find`, by the token's digest."""
        entry = self._identities.get(key)
        if entry is None:
            return None
        if now >= entry.until:
            del self._identities[key]
            return None
        self._looks += 1
        if (self._looks - entry.moved) * _LATE > self._capacity:
            self._identities.move_to_end(key)
            entry.moved = self._looks
        return entry.identity

    def keep(self, token: str, identity: Identity, now: float, until: float = inf) -> None:
        """Remember what a verified token proves, `until` then at the latest, unless it lives on its leeway only."""
        self.put(self.digest(token), identity, now, until)

    def put(self, key: bytes, identity: Identity, now: float, until: float = inf) -> None:
        """As `keep`, by the token's digest."""
        if now >= identity.expires_at:
            return
        self._looks += 1
        self._identities[key] = _Verified(identity, min(until, identity.expires_at), self._looks)
        self._identities.move_to_end(key)
        if len(self._identities) > self._capacity:
            self._identities.popitem(last=False)

    def digest(self, token: str | bytes) -> bytes:
        """By which it is remembered."""
        salted = self._hash.copy()
        salted.update(token if isinstance(token, bytes) else token.encode("utf-8", "surrogatepass"))
        return salted.digest()
