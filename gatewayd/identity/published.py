"""The keys that an identity provider publishes, at hand without waiting for it.

A token whose key is known never waits. One that names an unknown key waits for the next look at the provider, which
all who wait share, over all workers of the daemon (`shelf` keeps the turn to look, and what came of it). A look that
began before a token came proves nothing about its key: it waits for one that began later, and is refused only then.

A look that nobody's key came of is followed by a cool-down, so that names nobody ever heard of cost the provider
nothing; one that brought a key somebody waited for is not, so that whoever signs with a new key need not wait either.

Good keys stay in force while the provider is away or says nonsense, over restarts too, until they are stale.
"""

import asyncio
import logging
import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from gatewayd.clock import Clock
from gatewayd.config.settings import Provider
from gatewayd.errors import IssuerUnavailable
from gatewayd.identity.fetching import Unfetched
from gatewayd.identity.holding import UNTURNED, Fetch, Holding, Shared
from gatewayd.identity.jwk import MAX_ID, At, Unusable
from gatewayd.identity.shelf import Notes, Shelf, Turn
from gatewayd.identity.signatures import VerificationKey

log: Final = logging.getLogger(__name__)

PATIENCE: Final = 15.0
"""Seconds that a token may wait for a key nobody knows, however slow the provider is."""
LONGEST_PAUSE: Final = 3.0
"""Seconds of a cool-down that a token waits for; its caller is told to come again where more are left."""
MOST_WAITING: Final = 10_000
"""Tokens that may wait in one worker; the callers of more are told to come again."""
RETRY: Final = 10.0
"""Seconds until a provider that failed is asked again, if nobody waits for it."""
# Seconds between two looks whether another worker's turn is over; at first it has hardly begun.
_FIRST_PAUSE, _LAST_PAUSE = 0.005, 0.05


class PublishedKeys:
    """A `KeySource` over one provider. Mutable: keys come and go. Whoever made it closes it."""

    def __init__(self, provider: Provider, fetch: Fetch, shelf: Shelf, shared: Shared, clock: Clock) -> None:
        """`fetch` gives the document at a URL, or raises Unfetched."""
        self._provider = provider
        self._shelf = shelf
        self._clock = clock
        self._holding = Holding(provider, fetch, shelf, shared, clock)
        # Of looks, when they began, in monotonic seconds: nobody sets that clock, and all workers have the same one.
        self._notes = Notes()
        self._wanted_at = 0.0  # one that began then or later is waited for
        self._waiting: Counter[At] = Counter()
        self._in_line = 0  # their sum
        self._closed = False
        self._news: asyncio.Future[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._refreshing: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """For logs and operators."""
        return self._holding.name

    @property
    def size(self) -> int:
        """Keys in force."""
        return self._holding.size

    @property
    def age(self) -> float | None:
        """Seconds since the keys in force were asked for; None without any."""
        return self._holding.age

    @property
    def failing(self) -> bool:
        """Whether the last look failed."""
        return self._holding.failing

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

    def at_hand(self, algorithm: str, key_id: str | None) -> Sequence[VerificationKey]:
        """As KeySource.at_hand."""
        return self._holding.find(algorithm, key_id)

    async def find(
        self, algorithm: str, key_id: str | None, tried: Sequence[VerificationKey] = ()
    ) -> Sequence[VerificationKey]:
        """As KeySource.find."""
        return self._untried(algorithm, key_id, tried) or await self._awaited(algorithm, key_id, tried)

    def _untried(
        self, algorithm: str, key_id: str | None, tried: Sequence[VerificationKey]
    ) -> Sequence[VerificationKey]:
        found = self._holding.find(algorithm, key_id)
        return [key for key in found if key not in tried] if tried else found

    async def _awaited(
        self, algorithm: str, key_id: str | None, tried: Sequence[VerificationKey]
    ) -> Sequence[VerificationKey]:
        if key_id is not None and not 0 < len(key_id) <= MAX_ID:  # no key is taken under such a name
            return ()
        came_at = self._clock.monotonic()
        with self._waited_for(algorithm, key_id), suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while self._notes.ended_at < came_at and not self._too_long and not self._closed:
                    await asyncio.shield(self._next_news(came_at))  # who leaves takes nobody's answer along
                    if found := self._untried(algorithm, key_id, tried):
                        return found
        if self._notes.known_at >= came_at:
            return ()
        raise IssuerUnavailable(retry_after=max(1, math.ceil(self._pause)))

    @contextmanager
    def _waited_for(self, algorithm: str, key_id: str | None) -> Iterator[None]:
        if self._in_line >= MOST_WAITING:
            raise IssuerUnavailable
        self._in_line += 1
        self._waiting[algorithm, key_id] += 1
        try:
            yield
        finally:
            self._in_line -= 1
            self._waiting[algorithm, key_id] -= 1
            if not self._waiting[algorithm, key_id]:
                del self._waiting[algorithm, key_id]

    @property
    def _pause(self) -> float:
        """Seconds until the cool-down is over."""
        return max(0.0, self._notes.asked_at + self._provider.jwks.cooldown - self._clock.monotonic())

    @property
    def _too_long(self) -> bool:
        """Whether nobody waits for that: a look that is still under way may end it."""
        return self._pause > LONGEST_PAUSE and self._notes.asked_at <= self._notes.ended_at

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
            try:
                await self._refresh(every)
            except Exception:  # whatever it is, the next time may be another
                log.exception("keys of %s cannot be kept fresh", self.name)
            left = every - age if (age := self.age) is not None else 0.0
            await asyncio.sleep(left if left > 0 else min(RETRY, every))

    async def _refresh(self, every: float) -> None:
        await self._holding.from_shelf()
        self._holding.expire()
        if (age := self.age) is None or age >= every:
            await asyncio.shield(self._next_news(self._clock.monotonic() - min(RETRY, every)))
            while self._looking is not None and not self._looking.done():
                await asyncio.wait({self._looking})

    async def _look(self) -> None:
        """Until what is wanted is known: on the shelf, else at the provider when it may be asked."""
        changes = self._holding.changes
        try:
            await self._holding.from_shelf()
            if self._holding.changes != changes:
                self._tell()
            await self._in_turn()
        except Exception:  # whatever it is, those who wait must hear that it is over
            log.exception("keys of %s cannot be looked for", self.name)
            self._notes = self._notes._replace(ended_at=self._clock.monotonic())
        finally:
            self._tell()

    async def _in_turn(self) -> None:
        """One worker at a time asks; the others see what comes of it, without waiting for a turn of theirs."""
        try:
            turn = await asyncio.to_thread(self._shelf.turn)
        except OSError as error:
            self._holding.trouble(UNTURNED, error.strerror)
            await self._ask(None)
            return
        self._holding.over(UNTURNED)
        with turn:
            pause = _FIRST_PAUSE
            while not turn.take():
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LAST_PAUSE)
                if await self._heard(turn):
                    return
            if not await self._heard(turn):
                await self._ask(turn)

    async def _heard(self, turn: Turn) -> bool:
        """Whether what is wanted is known, after what others noted."""
        notes = turn.notes(self._clock.monotonic())
        if notes.ended_at > self._notes.ended_at:
            taken = notes.known_at > self._notes.known_at and await self._holding.from_shelf()
            self._notes = notes if taken else notes._replace(known_at=self._notes.known_at)
            self._tell()
        elif notes.ended_at == self._notes.ended_at:
            self._notes = self._notes._replace(asked_at=notes.asked_at)
        return self._notes.ended_at >= self._wanted_at or self._satisfied

    @property
    def _satisfied(self) -> bool:
        """Whether nobody waits any more for what is not known, and keys are fresh. Others may have asked."""
        fresh = (age := self.age) is not None and age < self._provider.jwks.refresh * 0.9
        return fresh and all(key_id and self._holding.find(algorithm, key_id) for algorithm, key_id in self._waiting)

    async def _ask(self, turn: Turn | None) -> None:
        """When the cool-down is over, if that is soon; what another daemon has shared by then may do."""
        if self._too_long:
            return
        await asyncio.sleep(self._pause)
        await self._holding.from_others()
        if self._satisfied:
            return
        before, began_at = self._notes, self._clock.monotonic()
        self._notes = before._replace(asked_at=began_at)
        _note(turn, self._notes)
        try:
            first = not self.size
            new = await self._holding.from_provider()
        except (Unfetched, Unusable) as fault:
            self._holding.failed(fault)
            self._notes = self._notes._replace(ended_at=began_at)
            _note(turn, self._notes)
            return
        asked_at = 0.0 if first or any(at in self._waiting for at in new) else began_at
        self._notes = Notes(asked_at, began_at, began_at)
        self._tell()  # nobody waits for a disk
        kept = await self._holding.keep()
        _note(turn, self._notes if kept else before._replace(asked_at=asked_at))
        if turn is not None:
            turn.end()
        await self._holding.share()


def _note(turn: Turn | None, notes: Notes) -> None:
    if turn is not None:
        with suppress(OSError):  # a full disk; the daemon's other workers will ask themselves
            turn.note(notes)
