"""The keys of one provider as they come and go: those in force, and those just withdrawn. Pure, time is told."""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from gatewayd.identity.jwk import MAX_TRIED, NO_KEYS, At, KeySet
from gatewayd.identity.signatures import VerificationKey

GRACE: Final = 30.0
"""Seconds that a withdrawn key serves on: what it signed last is still on its way, and not all workers know yet."""
_MOST_LEAVING: Final = 64


@dataclass(frozen=True, slots=True)
class _Leaving:
    until: float
    keys: KeySet


class KeyRing:
    """What `find` knows without asking anybody. Mutable: a provider changes its keys."""

    def __init__(self) -> None:
        self._current = NO_KEYS
        self._leaving: deque[_Leaving] = deque(maxlen=_MOST_LEAVING)

    @property
    def size(self) -> int:
        """Keys in force."""
        return self._current.size

    def find(self, algorithm: str, key_id: str | None, now: float) -> tuple[VerificationKey, ...]:
        """Those that may have signed a token whose header says this; `now` is monotonic."""
        found = self._current.find(algorithm, key_id)
        if (found and key_id is not None) or not self._leaving:
            return found
        while self._leaving and self._leaving[0].until <= now:
            self._leaving.popleft()
        for each in reversed(self._leaving):
            found += each.keys.find(algorithm, key_id)
            if found and (key_id is not None or len(found) >= MAX_TRIED):
                break
        return found[:MAX_TRIED]

    def adopt(self, keys: KeySet, now: float) -> Collection[At]:
        """These are in force from now on; what a token may say that found nothing, or something else, before."""
        before, self._current = self._current, keys
        withdrawn = before.without(keys)
        if withdrawn.size:
            self._leaving.append(_Leaving(now + GRACE, withdrawn))
        return {at for at, found in keys.keys.items() if found != before.keys.get(at)}

    def drop(self) -> None:
        """None is in force any more."""
        self._current = NO_KEYS
        self._leaving.clear()
