"""What of a provider's keys is in force in this process, and how what is newer comes in.

It comes from the provider, from the shelf on which this daemon's workers put it, or from another daemon.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Final, Protocol

from gatewayd.clock import Clock
from gatewayd.config.settings import Provider
from gatewayd.errors import GatewayError
from gatewayd.identity.fetching import discovery_url, jwks_url_in, place
from gatewayd.identity.jwk import At, KeySet, Unusable, read_keys
from gatewayd.identity.ring import KeyRing
from gatewayd.identity.shelf import Kept, Shelf, name_of
from gatewayd.identity.signatures import VerificationKey

log: Final = logging.getLogger(__name__)

_MOST_TOLD: Final = 8  # broken keys that are told of one document
UNKEPT: Final = "they cannot be kept on disk"
UNREADABLE: Final = "what was kept cannot be read"
UNUSABLE: Final = "what was kept cannot be used"
UNTURNED: Final = "no file in server.state_dir can be made"
_LASTING: Final = (UNKEPT, UNREADABLE, UNUSABLE, UNTURNED)
_FOR_EVER: Final = 366 * 86_400.0  # seconds, where others can keep nothing for ever

Fetch = Callable[[str], Awaitable[bytes]]


class Shared(Protocol):
    """Where daemons find each other's documents."""

    async def find(self, name: str) -> object:
        """What was kept under the name; None if nothing is there or nobody can tell."""

    async def keep(self, name: str, document: bytes, seconds: float) -> None:
        """Keep it, if that can be."""


class Holding:
    """The keys of one provider. Mutable: they come and go."""

    def __init__(self, provider: Provider, fetch: Fetch, shelf: Shelf, shared: Shared, clock: Clock) -> None:
        """`fetch` gives the document at a URL, or raises Unfetched."""
        self._provider = provider
        self._fetch = fetch
        self._shelf = shelf
        self._shared = shared
        self._clock = clock
        self._ring = KeyRing()
        self._kept: Kept | None = None
        self._shelved_at = 0.0  # when what was taken from the shelf or put there had been asked for
        self._told: set[str] = set()  # troubles that were told and are not over
        self._found_at: float | None = None  # when the issuer was asked where its keys are, monotonic
        self.failing = False
        """Whether the provider could not be asked, or said nonsense, when it was asked last from here."""
        self.changes = 0
        """How often others than before came into force."""

    @property
    def name(self) -> str:
        return self._provider.issuer or place(self._provider.jwks_url or "")

    @property
    def size(self) -> int:
        return self._ring.size

    @property
    def age(self) -> float | None:
        """Seconds since the keys in force were asked for; None without any."""
        return max(0.0, self._clock.utc() - self._kept.asked_at) if self._kept is not None else None

    @property
    def shared_name(self) -> str:
        """Under which daemons share it."""
        return f"jwks:{name_of(self._provider)}"

    def find(self, algorithm: str, key_id: str | None) -> tuple[VerificationKey, ...]:
        """As KeyRing.find."""
        return self._ring.find(algorithm, key_id, self._clock.monotonic())

    def expire(self) -> None:
        """Drop keys that are too old to be used."""
        age, stale = self.age, self._provider.jwks.stale
        if stale and age is not None and age > stale and self.size:
            log.error("keys of %s: they are too old to be used", self.name)
            self._ring.drop()

    async def from_provider(self) -> Collection[At]:
        """Ask it; what is new, as KeyRing.adopt says. Raises Unfetched and Unusable."""
        began_at = self._clock.utc()
        url = self._provider.jwks_url or await self._discovered()
        document = await self._fetch(url)
        faults: list[str] = []
        keys = await asyncio.to_thread(read_keys, document, faults.append)
        for fault in faults[:_MOST_TOLD]:
            self.trouble(fault)
        self._told.intersection_update((*_LASTING, *faults))
        if self.failing:
            log.info("keys of %s can be had again", self.name)
        self.failing = False
        return self._put_in_force(Kept(began_at, url, document), keys)

    async def _discovered(self) -> str:
        """Asked anew when the keys could not be had, and about as often as they are made sure of otherwise."""
        assert self._provider.issuer is not None
        now = self._clock.monotonic()
        fresh = self._found_at is not None and now - self._found_at < self._provider.jwks.refresh
        if self._kept is not None and fresh and not self.failing:
            return self._kept.jwks_url
        url = jwks_url_in(await self._fetch(discovery_url(self._provider.issuer)), self._provider.issuer)
        self._found_at = now
        return url

    def failed(self, fault: GatewayError) -> None:
        """Say so, once an outage, not once a look."""
        if not self.failing:
            age = self.age
            known = f"the {self.size} known ones stay in force, {age:.0f} s old" if age is not None else "none is known"
            log.warning("keys of %s cannot be had: %s; %s", self.name, fault, known)
        self.failing = True

    def trouble(self, what: str, why: str | None = "") -> None:
        """Say so, once while it lasts: whoever sends tokens must not be able to fill a log."""
        if what not in self._told:
            self._told.add(what)
            log.warning("keys of %s: %s%s", self.name, what, f": {why}" if why else "")

    def over(self, what: str) -> None:
        """That trouble is."""
        self._told.discard(what)

    async def keep(self) -> bool:
        """Put what is in force on the shelf; whether it is there for this daemon's other workers."""
        assert self._kept is not None
        writing = asyncio.ensure_future(asyncio.to_thread(self._shelf.write, self._kept))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait({writing})  # a thread cannot be called back, and nothing may be written after close
            raise
        except OSError as error:
            self.trouble(UNKEPT, error.strerror)
            return False
        self.over(UNKEPT)
        self._shelved_at = self._kept.asked_at
        return True

    async def share(self) -> None:
        """Give it to the other daemons, if that can be."""
        assert self._kept is not None
        await self._shared.keep(self.shared_name, self._kept.packed(), self._provider.jwks.stale or _FOR_EVER)

    async def from_shelf(self) -> bool:
        """Take what another worker put there; whether what is there has come into force here."""
        try:
            kept = await asyncio.to_thread(self._shelf.read)
        except OSError as error:
            self.trouble(UNREADABLE, error.strerror)
            return False
        self.over(UNREADABLE)
        # Not by which is the later: clocks are set back, and what could not be kept is not on the shelf.
        if kept is not None and kept.asked_at != self._shelved_at and await self._adopt(kept):
            self._shelved_at = kept.asked_at
        return kept is not None and kept.asked_at == self._shelved_at

    async def from_others(self) -> None:
        """Take what another daemon has shared, if it is newer."""
        kept = Kept.unpacked(await self._shared.find(self.shared_name))
        if kept is not None and kept.asked_at > (self._kept.asked_at if self._kept is not None else 0.0):
            await self._adopt(kept)

    async def _adopt(self, kept: Kept) -> bool:
        """Put it in force, unless it is stale; whether it is."""
        now, stale = self._clock.utc(), self._provider.jwks.stale
        if kept.asked_at > now:  # another clock, or ours was set back: it must not seem fresh for longer
            kept = Kept(now, kept.jwks_url, kept.document)
        if stale and now - kept.asked_at > stale:
            return False
        try:
            keys = await asyncio.to_thread(read_keys, kept.document, lambda _: None)
        except Unusable as fault:
            self.trouble(UNUSABLE, str(fault))
            return False
        self._put_in_force(kept, keys)
        return True

    def _put_in_force(self, kept: Kept, keys: KeySet) -> Collection[At]:
        self._kept = kept
        self.changes += 1
        return self._ring.adopt(keys, self._clock.monotonic())
