"""The ledger as a worker sees it: holds from its leases, all it does in its journal, the rest asked."""

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Final, Literal, cast

from gatewayd.books.durable import Flusher
from gatewayd.books.leases import CALM, Lease, Leases, Waiter, Wish
from gatewayd.books.link import Link
from gatewayd.books.messages import Message
from gatewayd.clock import Clock
from gatewayd.errors import StoreUnavailable
from gatewayd.model import Account, Balance, DirectoryPage, Durability, Hold, Holding, Revocation, UsageRecord
from gatewayd.periods import month_at
from gatewayd.records import account_named
from gatewayd.stores.journal.frames import Position
from gatewayd.stores.journal.writer import Journal

# Not final, so that they can be replaced where they are compiled too.
LEASE_PATIENCE = 3.0
"""Seconds that a request waits for units before it is told that nobody can say."""
IDLE_SECONDS = 2.0
"""An idle lease is given back after so long."""
SWEEP_SECONDS = 0.1
"""Often, so that a crowd's leases are few at a time, and callers wait for no sweep."""
GROWN_SECONDS: Final = 0.05
"""The bookkeeper is told at most so often that the journal has grown."""
START_PATIENCE: Final = 5.0

GRANTED: Final = Holding(True, Balance("", "", "", 0, 0, 0))
"""The answer to every hold that was granted: where the account stands, only the ledger knows."""


class LeasedLedger:
    """See `base.Ledger`; used from one event loop. Mutable: leases and open holds are its purpose."""

    def __init__(
        self,
        journal: Journal,
        books: Path,
        clock: Clock,
        *,
        durability: Durability = "process",
        on_outage: Literal["journal", "deny"] = "journal",
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._leases = Leases()
        self._flusher = Flusher(journal.flush) if durability == "disk" else None
        self._denies = on_outage == "deny"
        self._away = False
        self._told_grown = False
        self._to_be_sealed = False
        self._loop = asyncio.get_running_loop()
        self._link = Link(books, self._hear, self._greet, journal.seal)
        self._sweeper: asyncio.Task[None] | None = None
        self._wishes = count(1)
        self._telling: set[asyncio.Task[None]] = set()

    def on_outage(self, word: Literal["journal", "deny"]) -> None:
        """What an outage means from now on."""
        self._denies = word == "deny"

    async def start(self) -> None:
        """Meet the bookkeeper; a worker serves without it too, from what it does not need leases for."""
        self._sweeper = asyncio.create_task(self._sweep(), name="idle leases")
        await self._link.start(START_PATIENCE)

    @property
    def pending(self) -> int:
        """Holds that are open and requests that wait for units."""
        return len(self._journal)

    async def hold(self, hold: Hold) -> Holding:
        """Raises StoreUnavailable, and holds nothing then."""
        now = self._clock.monotonic()
        if (holding := self.hold_at_once(hold, now)) is not None:
            return holding
        lease = self._leases.of(hold.user_id, hold.unit, month_at(hold.started_at), hold.limit, now)
        used = await self._wait(lease, hold)
        return self._held(hold, lease) if used is None else _refused(hold, used)

    def hold_at_once(self, hold: Hold, now: float) -> Holding | None:
        """As `hold`; None where units have to be asked for."""
        if self._denies and self._away:
            raise StoreUnavailable
        if not hold.limit:
            return self._held(hold, None)
        lease, units = self._leases.of(hold.user_id, hold.unit, month_at(hold.started_at), hold.limit, now), hold.units
        if lease.take(units, hold.limit):
            if lease.idle < units and lease.runs_out(units):
                self._want(lease.restock(next(self._wishes), units), lease)
            return self._held(hold, lease)
        return _refused(hold, lease.spent) if lease.hopeless(units, hold.limit) else None

    def _held(self, hold: Hold, lease: Lease | None) -> Holding:
        """The units are taken: now it is written down."""
        try:
            self._journal.intend(hold, lease)
        except BaseException:
            if lease is not None:
                self._put_back(lease, hold.units)
            raise
        if not self._told_grown:
            self._grown()
        if not self._to_be_sealed:
            self._seal_soon()
        return GRANTED

    def settle(self, record: UsageRecord) -> Awaitable[None] | None:
        """None when the record is safe already."""
        if (opened := self._journal.opened(record.id)) is None:
            return None
        hold, lease = opened.hold, cast("Lease | None", opened.beside)
        drawn = lease.draw(hold.units, record.quantity) if lease is not None else 0
        self._journal.end(
            opened,
            record.quantity,
            drawn,
            record.outcome,
            record.status,
            record.ended_at,
            record.bytes_in,
            record.bytes_out,
        )
        if not self._told_grown:
            self._grown()
        if not self._to_be_sealed:
            self._seal_soon()
        if lease is not None:
            if drawn < record.quantity:
                return self._tell_overdrawn(lease, hold.limit)
            if lease.waiting or not lease.sound:
                self._freed(lease)
        return self._flushed()

    def seal(self) -> None:
        """What was held and settled until now is written: it survives `kill -9` of this process."""
        self._journal.seal()

    def _seal_soon(self) -> None:
        """At the end of this turn of the loop at the latest, whoever else may need it before."""
        if not self._journal.is_sealed:
            self._to_be_sealed = True
            self._loop.call_soon(self._turn_ends)

    def _turn_ends(self) -> None:
        self._to_be_sealed = False
        self._journal.seal()

    def _flushed(self) -> Awaitable[None] | None:
        if self._flusher is None:
            return None
        self._journal.seal()
        return self._flusher.flushed()

    def release(self, hold_id: str) -> Awaitable[None] | None:
        if (opened := self._journal.opened(hold_id)) is not None:
            self._journal.drop(opened)
            if (lease := cast("Lease | None", opened.beside)) is not None:
                self._put_back(lease, opened.hold.units)
            self._grown()
        return None

    async def balances(self, user_id: str, period: str) -> Sequence[Balance]:
        """As they stand now, all that this daemon did included."""
        return [Balance(*row) for row in await self._link.ask("balances", user_id, period)]

    async def directory(self, since: int) -> DirectoryPage:
        """What operators decided after this version; see `DirectoryPage`. Raises StoreUnavailable."""
        begin, version, plans, revocations, more = await self._link.ask("decisions", since)
        return DirectoryPage(begin, version, plans, tuple(Revocation(*row) for row in revocations), more)

    async def close(self) -> None:
        """Give back what is left and see the journal posted, if the bookkeeper is there to do it."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait({self._sweeper})
        for lease in self._leases.all():
            lease.failed(StoreUnavailable())
            self._give_back(lease)
        if self._telling:
            await asyncio.wait(self._telling)
        with suppress(StoreUnavailable):  # the journal stays then, and its next reader posts it
            await self._link.ask("ship")
        if self._flusher is not None:
            await self._flusher.close()
        await self._link.close()
        self._journal.close()

    async def _wait(self, lease: Lease, hold: Hold) -> int | None:
        """None once the units are held; what is used of the limit if they do not fit."""
        "".join(lease.account).encode()  # half a surrogate pair could not be asked for, nor written down
        waiter = Waiter(hold.units, hold.limit, self._loop.create_future())
        lease.waiting.append(waiter)
        patience = self._loop.call_later(LEASE_PATIENCE, _lose_patience, waiter)
        if lease.wish is None:
            self._ask(lease)
        try:
            return await waiter.future
        except asyncio.CancelledError:
            future = waiter.future
            if future.done() and not future.cancelled() and not future.exception() and future.result() is None:
                self._put_back(lease, hold.units)
            raise
        finally:
            patience.cancel()

    def _ask(self, lease: Lease) -> None:
        """Ask for what those need who wait, if there are any."""
        if lease.spendable:
            lease.serve()
        lease.prune()
        if lease.waiting or not lease.sound:
            self._say_back(lease, lease.give_up())
        if lease.waiting:
            self._want(lease.demand(next(self._wishes)), lease)

    def _want(self, wish: Wish, lease: Lease) -> None:
        self._link.say("want", wish.number, *lease.account, wish.limit, wish.least, wish.needed, wish.most)

    def _put_back(self, lease: Lease, units: int) -> None:
        lease.put_back(units)
        if lease.waiting or not lease.sound:
            self._freed(lease)

    def _freed(self, lease: Lease) -> None:
        """Who waits gets it first; what nobody may spend without asking is of no use here."""
        if not lease.sound:
            self._give_back(lease)
        elif lease.spendable:
            lease.serve()

    def _give_back(self, lease: Lease) -> None:
        self._say_back(lease, lease.empty())

    def _say_back(self, lease: Lease, units: int) -> None:
        if units:
            self._link.say("back", *lease.account, units)

    def _tell_overdrawn(self, lease: Lease, limit: int) -> Awaitable[None]:
        """More was spent than was held: nobody else may go on spending what is not there any more."""
        telling = self._loop.create_task(self._overdrawn(lease, limit), name="overdrawn")
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)
        return asyncio.shield(telling)  # who leaves ends nothing of it

    async def _overdrawn(self, lease: Lease, limit: int) -> None:
        safe = self._flushed()
        with suppress(StoreUnavailable):  # a bookkeeper who is away reads it in the journal
            await self._link.ask("overdrawn", *lease.account, limit)
        if safe is not None:
            await safe

    def _grown(self) -> None:
        if not self._told_grown:
            self._told_grown = True
            self._loop.call_later(GROWN_SECONDS, self._tell_grown)

    def _tell_grown(self) -> None:
        self._told_grown = False
        self._link.say("grown")

    def _greet(self) -> None:
        """A bookkeeper is there, which may be another one."""
        self._link.say("hello", self._journal.name)

    def _say_all(self) -> None:
        """All that it must know, as of this moment."""
        self._journal.seal()  # what was drawn from these leases stands before its position
        leases = [(*lease.account, lease.outstanding) for lease in self._leases.all() if lease.outstanding]
        self._link.say("has", *self._journal.position, leases)
        for lease in self._leases.all():
            lease.wish = None
            self._ask_on(lease)

    def _hear(self, message: Message) -> None:
        match message:
            case ["granted", user, unit, period, number, units, sound]:
                lease = self._of(account_named(user, unit, period))
                lease.granted(number, units, sound=sound)
                self._ask_on(lease)
            case ["refused", user, unit, period, number, used, spent]:
                lease = self._of(account_named(user, unit, period))
                lease.refused(number, used, spent)
                self._ask_on(lease)
            case ["away", user, unit, period, number]:
                lease = self._of(account_named(user, unit, period))
                if lease.wish is not None and lease.wish.number == number:
                    lease.failed(StoreUnavailable())
            case ["what have you"]:
                self._say_all()
            case ["recall", number, user, unit, period]:
                lease = self._of(account_named(user, unit, period))
                lease.ahead = CALM
                self._link.say("recalled", number, user, unit, period, lease.empty())
            case ["shipped", segment, offset]:
                self._journal.shipped(Position(segment, offset))
            case ["store", is_up]:
                self._away = not is_up

    def _ask_on(self, lease: Lease) -> None:
        """For those who came meanwhile; units that are here but not sound to spend go back."""
        if lease.wish is None and (lease.waiting or not lease.sound):
            self._ask(lease)

    def _of(self, account: Account) -> Lease:
        return self._leases.get(account) or self._leases.use(account, 0, self._clock.monotonic())

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            idle = self._leases.unused_since(self._clock.monotonic() - IDLE_SECONDS)
            if idle and not self._away:  # a ledger that is away can neither take them back nor lend them again
                self._link.say("idle", [(*lease.account, lease.empty()) for lease in idle])


def _refused(hold: Hold, used: int) -> Holding:
    return Holding(False, Balance(*hold.account, hold.limit, 0, used))


def _lose_patience(waiter: Waiter) -> None:
    if not waiter.future.done():
        waiter.future.set_exception(StoreUnavailable())
