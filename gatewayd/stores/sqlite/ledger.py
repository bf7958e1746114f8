"""The Ledger and Accounts Protocols on one file: what is asked becomes work for the writer's transactions."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Mapping, Sequence
from functools import partial

from gatewayd.clock import Clock
from gatewayd.model import Balance, Durability, Hold, Holding, Outcome, UsageRecord
from gatewayd.stores.sqlite import schema
from gatewayd.stores.sqlite.books import Books
from gatewayd.stores.sqlite.opening import Opened, open_file
from gatewayd.stores.sqlite.work import Assign, BalancesOf, Plans, Release, Work, commit
from gatewayd.stores.sqlite.writer import RETRY_SECONDS, Writer


class SqliteLedger:
    """See `base.Ledger` and `base.Accounts`; used from one event loop. Make one with `open_ledger`."""

    def __init__(self, opened: Opened, *, retry_seconds: float = RETRY_SECONDS) -> None:
        self._writer: Writer[Work] = Writer(
            partial(commit, opened.connection),
            opened.close,
            name=f"ledger {opened.file}",
            retry_seconds=retry_seconds,
        )
        self._plans: Mapping[str, str] = {}
        self._plans_version: int | None = None

    @property
    def pending(self) -> int:
        """What was submitted and is not committed yet."""
        return self._writer.pending

    async def hold(self, hold: Hold) -> Holding:
        """Also raises ValueError for an id that was used before: ids are the gateway's own and unique."""
        try:
            holding: Holding = await self._writer.submit(hold)
        except asyncio.CancelledError:
            # Work is done in the order of submission, so the release comes after the hold, granted or not.
            self.release(hold.id)
            raise
        return holding

    def settle(self, record: UsageRecord) -> Awaitable[None]:
        """A record without a hold is written and charged all the same; the limit stays what it was."""
        return self._writer.submit(record, kept=True)

    def release(self, hold_id: str) -> Awaitable[None]:
        return self._writer.submit(Release(hold_id), kept=True)

    async def balances(self, user_id: str, period: str) -> Sequence[Balance]:
        balances: Sequence[Balance] = await self._writer.submit(BalancesOf(user_id, period))
        return balances

    async def plans(self) -> Mapping[str, str]:
        """Asked every second, so the table is read only when it may have changed."""
        version, plans = await self._writer.submit(Plans(unless=self._plans_version))
        if plans is not None:
            self._plans_version, self._plans = version, plans
        return self._plans

    async def assign(self, user_id: str, plan: str) -> None:
        self._plans_version = None  # what this connection writes is no change to it
        await self._writer.submit(Assign(user_id, plan))
        self._plans_version = None

    async def close(self) -> None:
        await self._writer.close()


def open_ledger(path: str, durability: Durability, clock: Clock) -> SqliteLedger:
    """Open or make the file, and close what a dead process left open: its holds become `unknown` records.

    Blocks while it reads and writes. Raises StoreError.
    """
    opened = open_file(path, durability)
    try:
        with schema.named(opened.file):
            settle_unknown(opened.connection, clock.utc())
    except BaseException:
        opened.close()
        raise
    return SqliteLedger(opened)


def settle_unknown(connection: sqlite3.Connection, now: float) -> None:
    """Turn every hold into a record of a request whose end nobody saw, charged its cost."""
    with schema.transaction(connection):
        books = Books(connection)
        for hold in books.unsettled():
            books.settle(hold.record(quantity=hold.cost, outcome=Outcome.UNKNOWN, status=0, ended_at=now))
        books.finish()
