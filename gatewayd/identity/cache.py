"""Verified tokens remembered: bounded, least recently used first out, never past their end."""

from collections import OrderedDict
from hashlib import blake2b
from math import inf
from secrets import token_bytes

from gatewayd.model import Identity


class VerifiedTokens:
    """Identities by digest of the token's text, so that no token is kept in memory.

    The digest is keyed afresh in each cache: nobody outside can prepare two texts that meet in one entry.
    Refused tokens are not remembered, or a flood of them would push good ones out. Mutable, being a cache.
    """

    __slots__ = ("_capacity", "_hash", "_identities")

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError("a capacity must be at least 1")
        self._capacity = capacity
        self._hash = blake2b(key=token_bytes(32), digest_size=16)
        self._identities: OrderedDict[bytes, tuple[Identity, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._identities)

    def find(self, token: str | bytes, now: float) -> Identity | None:
        """What the token proved before, while `now` (seconds since the epoch) is before its end here."""
        key = self._digest(token)
        entry = self._identities.get(key)
        if entry is None:
            return None
        identity, until = entry
        if now >= until:
            del self._identities[key]
            return None
        self._identities.move_to_end(key)
        return identity

    def keep(self, token: str, identity: Identity, now: float, until: float = inf) -> None:
        """Remember what a verified token proves, `until` then at the latest, unless it lives on its leeway only."""
        if now >= identity.expires_at:
            return
        self._identities[self._digest(token)] = identity, min(until, identity.expires_at)
        if len(self._identities) > self._capacity:
            self._identities.popitem(last=False)

    def _digest(self, token: str | bytes) -> bytes:
        keyed = self._hash.copy()
        keyed.update(token if isinstance(token, bytes) else token.encode("utf-8", "surrogatepass"))
        return keyed.digest()
