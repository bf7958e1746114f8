"""The keys that an identity provider publishes, at hand without waiting for it.

A token whose key is known never waits. One that names an unknown key waits for the next look at the provider, which
all who wait share; looks have a cool-down between them, over all workers of the daemon (`shelf` keeps the turn and
the time of the last), so that names nobody ever heard of cost the provider nothing. A look that began before a token
came proves nothing about its key: it waits for one that began later, and is refused only then.

Good keys stay in force while the provider is away or says nonsense, over restarts too, until they are stale.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol

from gatewayd.clock import Clock
from gatewayd.config.settings import Provider
from gatewayd.errors import GatewayError, IssuerUnavailable
from gatewayd.identity.fetching import Unfetched, discovery_url, jwks_url_in, place
from gatewayd.identity.jwk import Unusable, read_keys
from gatewayd.identity.ring import KeyRing
from gatewayd.identity.shelf import Kept, Shelf, Turn, name_of
from gatewayd.identity.signatures import VerificationKey

log: Final = logging.getLogger(__name__)

PATIENCE: Final = 15.0
"""Seconds that a token may wait for a key nobody knows, however slow the provider is."""
LONGEST_PAUSE: Final = 3.0
"""Seconds of a cool-down that a token waits for; it is refused at once where more are left."""
RETRY: Final = 10.0
"""Seconds until a provider that failed is asked again, if nobody waits for it."""
_TURN_PAUSE: Final = 0.02  # between two looks whether another worker's turn is over
_MOST_TOLD: Final = 8  # broken keys that are told of one document

Fetch = Callable[[str], Awaitable[bytes]]


class Shared(Protocol):
    """Where daemons find each other's documents."""

    async def find(self, name: str) -> object:
        """What was kept under the name; None if nothing is there or nobody can tell."""

    async def keep(self, name: str, document: bytes, seconds: float) -> None:
        """Keep it, if that can be."""


class PublishedKeys:
    """A `KeySource` over one provider. Mutable: keys come and go. Whoever made it closes it."""

    def __init__(self, provider: Provider, fetch: Fetch, shelf: Shelf, shared: Shared, clock: Clock) -> None:
        """`fetch` gives the document at a URL, or raises Unfetched."""
        self._provider = provider
        self._fetch = fetch
        self._shelf = shelf
        self._shared = shared
        self._clock = clock
        self._ring = KeyRing()
        self._kept: Kept | None = None
        self._looked_at = 0.0  # when the last look began whose end is known here, in UTC seconds
        self._wanted_at = 0.0  # a look that began then or later is waited for
        self._waiting = 0
        self._failing = False
        self._closed = False
        self._news: asyncio.Future[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._refreshing: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """For logs and operators."""
        return self._provider.issuer or place(self._provider.jwks_url or "")

    @property
    def size(self) -> int:
        """Keys in force."""
        return self._ring.size

    @property
    def age(self) -> float | None:
        """Seconds since the keys in force were asked for; None without any."""
        return max(0.0, self._clock.utc() - self._kept.asked_at) if self._kept is not None else None

    @property
    def failing(self) -> bool:
        """Whether the last look failed."""
        return self._failing

    def start(self) -> None:
        """Begin to know them, and keep them fresh until closed. Waits for nobody."""
        self._refreshing = asyncio.get_running_loop().create_task(self._keep_fresh(), name="jwks")

    async def close(self) -> None:
        """Ask no more."""
        self._closed = True
        for task in (self._refreshing, self._looking):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        self._tell()

    async def find(self, algorithm: str, key_id: str | None) -> Sequence[VerificationKey]:
        """As KeySource.find."""
        found = self._ring.find(algorithm, key_id, self._clock.monotonic())
        return found or await self._awaited(algorithm, key_id)

    async def _awaited(self, algorithm: str, key_id: str | None) -> Sequence[VerificationKey]:
        came_at = self._clock.utc()
        self._waiting += 1
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    if found := self._ring.find(algorithm, key_id, self._clock.monotonic()):
                        return found
                    if self._looked_at >= came_at or self._pause > LONGEST_PAUSE or self._closed:
                        break
                    await asyncio.shield(self._next_news(came_at))  # who leaves takes nobody's answer along
        except TimeoutError:
            pass
        finally:
            self._waiting -= 1
        if not self.size:
            raise IssuerUnavailable
        return ()

    @property
    def _pause(self) -> float:
        """Seconds until the cool-down is over."""
        since = self._clock.utc() - self._looked_at
        return self._provider.jwks.cooldown - since if since >= 0 else 0.0

    def _next_news(self, wanted_at: float) -> "asyncio.Future[None]":
        """Done when something is known that was not, of a look that is under way."""
        self._wanted_at = max(self._wanted_at, wanted_at)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._look(), name="jwks look")
        if self._news is None:
            self._news = asyncio.get_running_loop().create_future()
        return self._news

    def _tell(self) -> None:
        if self._news is not None:
            self._news.set_result(None)
            self._news = None

    async def _keep_fresh(self) -> None:
        """A little earlier or later than others, so that daemons do not ask all at once."""
        while True:
            every = self._provider.jwks.refresh * random.uniform(0.9, 1.0)  # noqa: S311  # no secret
            self._expire()
            await asyncio.shield(self._next_news(self._clock.utc() - every))
            while self._looking is not None and not self._looking.done():
                await asyncio.wait({self._looking})
            age = self.age
            left = every - age if age is not None else 0.0
            await asyncio.sleep(left if left > 0 else min(RETRY, every))

    def _expire(self) -> None:
        age, stale = self.age, self._provider.jwks.stale
        if stale and age is not None and age > stale and self.size:
            log.error("keys of %s: they are too old to be used", self.name)
            self._ring.drop()

    async def _look(self) -> None:
        """Until what is wanted is known: on the shelf, else at the provider when it may be asked."""
        try:
            await self._from_shelf()
            if self._looked_at < self._wanted_at:
                await self._in_turn()
        except Exception:  # whatever it is, those who wait must hear that it is over
            log.exception("keys of %s cannot be looked for", self.name)
            self._looked_at = self._clock.utc()
        finally:
            self._tell()

    async def _in_turn(self) -> None:
        try:
            turn = await asyncio.to_thread(self._shelf.turn)
        except OSError as error:
            log.warning("keys of %s: no file in server.state_dir can be made: %s", self.name, error.strerror)
            await self._ask(None)
            return
        with turn:
            while not turn.take():  # noqa: ASYNC110  # nobody tells when another process lets go
                await asyncio.sleep(_TURN_PAUSE)
            await self._from_shelf()  # it may have come while we waited
            self._looked_at = max(self._looked_at, min(turn.asked_at, self._clock.utc()))
            if self._looked_at < self._wanted_at:
                await self._ask(turn)

    async def _ask(self, turn: Turn | None) -> None:
        """When the cool-down is over; what another daemon has shared by then may do."""
        if (pause := self._pause) > 0:
            await asyncio.sleep(pause)
        if await self._adopt(Kept.unpacked(await self._shared.find(self._key))):
            self._tell()
            await asyncio.sleep(0)  # those who have their key now are gone after this
            if not self._waiting and self._kept is not None and self._kept.asked_at >= self._wanted_at:
                return
        began_at = self._clock.utc()
        if turn is not None:
            with suppress(OSError):  # a full disk; the daemon's other workers will ask themselves
                turn.note(began_at)
        try:
            await self._from_provider(began_at)
        except (Unfetched, Unusable) as fault:
            self._failed(fault)
        finally:
            self._looked_at = began_at
            self._tell()

    async def _from_shelf(self) -> None:
        try:
            kept = await asyncio.to_thread(self._shelf.read)
        except OSError as error:
            log.warning("keys of %s: what was kept cannot be read: %s", self.name, error.strerror)
            return
        if await self._adopt(kept):
            # Another daemon's clock says nothing of when somebody came to us; this daemon's workers have one clock.
            self._looked_at = max(self._looked_at, kept.asked_at if kept is not None else 0.0)
            self._tell()

    async def _from_provider(self, began_at: float) -> None:
        url = self._provider.jwks_url or await self._discovered()
        document = await self._fetch(url)
        told: list[str] = []
        keys = await asyncio.to_thread(read_keys, document, told.append)
        for fault in told[:_MOST_TOLD]:
            log.warning("keys of %s: %s", self.name, fault)
        if self._failing:
            log.info("keys of %s can be had again", self.name)
        self._failing = False
        kept = Kept(began_at, url, document)
        self._kept = kept
        self._ring.adopt(keys, self._clock.monotonic())
        self._looked_at = began_at
        self._tell()  # nobody waits for a disk
        await self._keep(kept)

    async def _discovered(self) -> str:
        """Asked anew with every look that nobody waits for; in between, keys are where they were."""
        assert self._provider.issuer is not None
        if self._kept is not None and self._waiting and not self._failing:
            return self._kept.jwks_url
        return jwks_url_in(await self._fetch(discovery_url(self._provider.issuer)), self._provider.issuer)

    async def _keep(self, kept: Kept) -> None:
        writing = asyncio.ensure_future(asyncio.to_thread(self._shelf.write, kept))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait({writing})  # a thread cannot be called back, and nothing may be written after close
            raise
        except OSError as error:
            log.warning("keys of %s cannot be kept on disk: %s", self.name, error.strerror)
        await self._shared.keep(self._key, kept.packed(), self._provider.jwks.stale or 366 * 86_400)

    @property
    def _key(self) -> str:
        return f"jwks:{name_of(self._provider)}"

    async def _adopt(self, kept: Kept | None) -> bool:
        """Put what others found in force, if it is newer than ours and not stale; whether it was."""
        now, stale = self._clock.utc(), self._provider.jwks.stale
        if kept is None or kept.asked_at <= (self._kept.asked_at if self._kept is not None else 0.0):
            return False
        if kept.asked_at > now:  # another clock, or ours was set back: it must not seem fresh for longer
            kept = Kept(now, kept.jwks_url, kept.document)
        if stale and now - kept.asked_at > stale:
            return False
        try:
            keys = await asyncio.to_thread(read_keys, kept.document, lambda _: None)
        except Unusable as fault:
            log.warning("keys of %s: what was kept cannot be used: %s", self.name, fault)
            return False
        self._kept = kept
        self._ring.adopt(keys, self._clock.monotonic())
        return True

    def _failed(self, fault: GatewayError) -> None:
        """Once an outage, not once a look."""
        if not self._failing:
            age = self.age
            known = f"the {self.size} known ones stay in force, {age:.0f} s old" if age is not None else "none is known"
            log.warning("keys of %s cannot be had: %s; %s", self.name, fault, known)
        self._failing = True
