"""The LedgerStore on one file: what is asked becomes work for the thread that owns the connection."""

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from functools import partial

from gatewayd.clock import Clock
from gatewayd.errors import StoreError, StoreUnavailable
from gatewayd.model import Account, Balance, DirectoryPage, Durability
from gatewayd.stores.base import Batch, Examination, Grant, OwnLedgerStore, Recall, Sheet, Standing, Want
from gatewayd.stores.sqlite import inquiry, leasing, posting, schema
from gatewayd.stores.sqlite.committer import Committer
from gatewayd.stores.sqlite.migration import migrate
from gatewayd.stores.sqlite.opening import Opened, open_file, open_glance


class SqliteStore:
    """See `base.OwnLedgerStore`; used from one event loop. Make one with `open_store`.

    The file is one daemon's at a time, so there is nobody to recall units from.
    """

    def __init__(self, opened: Opened) -> None:
        name = f"ledger {opened.file}"
        self._check = opened.check
        self._glance = open_glance(opened.file)
        self._committer = Committer(opened.connection, opened.close, name=name, check=opened.check)

    async def lease(self, node: str, wants: Sequence[Want]) -> Sequence[Grant]:
        return await self._committer.change(partial(leasing.lease, node=node, wants=wants))

    async def post(self, node: str, batch: Batch) -> None:
        await self._committer.change(partial(posting.post, node=node, batch=batch))

    async def standings(self, wants: Sequence[Want]) -> Sequence[Standing | None]:
        """A look by the calling thread, which takes some microseconds; to hand it over takes ten times that.

        It takes the lock of who writes, and so finds out whether anybody could: units of a ledger that is away would be
        lent on credit. It waits for nobody; the other thread does.
        """
        try:
            self._check()
            with schema.transaction(self._glance):
                return leasing.standings(self._glance, wants)
        except sqlite3.Error:
            return await self._committer.change(partial(leasing.standings, wants=wants))

    async def enter(self, node: str, batch: Batch, sheet: Sheet) -> None:
        await self._committer.change(partial(_enter, node=node, batch=batch, sheet=sheet))

    async def leases(self, node: str) -> Mapping[Account, int]:
        return await self._committer.inquire(partial(leasing.leases, node=node))

    async def in_flight(self, node: str) -> Mapping[Account, int]:
        return await self._committer.inquire(partial(leasing.in_flight, node=node))

    async def recall(self, node: str, accounts: Sequence[Account]) -> Sequence[Recall]:  # noqa: ARG002
        return []

    async def recalled(self, node: str) -> Mapping[Account, int]:  # noqa: ARG002
        return {}

    async def unanswered(self, recalls: Sequence[Recall]) -> Sequence[Recall]:  # noqa: ARG002
        return []

    async def balances(self, user_id: str, period: str, *, but: str = "") -> Sequence[Balance]:
        return await self._committer.inquire(partial(inquiry.balances, user_id=user_id, period=period, but=but))

    async def directory(self, since: int, most: int) -> DirectoryPage:
        return await self._committer.inquire(partial(inquiry.directory_page, since=since, most=most))

    async def examine(self, account: Account, so_far: Examination | None, most: int) -> Examination:
        return await self._committer.inquire(partial(inquiry.examine, account=account, so_far=so_far, most=most))

    async def accounts(self, after: Account | None, most: int) -> Sequence[Account]:
        return await self._committer.inquire(partial(inquiry.accounts, after=after, most=most))

    async def close(self) -> None:
        self._glance.close()
        await self._committer.close()


def _enter(connection: sqlite3.Connection, node: str, batch: Batch, sheet: Sheet) -> None:
    leasing.enter(connection, node, sheet)
    posting.post(connection, node, batch, sheet.rowless)


async def open_store(rest: str, durability: Durability, clock: Clock) -> OwnLedgerStore:
    """Open or make the file named after `sqlite:`, and bring it up to date.

    Raises StoreError for what an operator must mend; StoreUnavailable (its cause says why) for a file that another
    program has locked at this moment.
    """
    try:
        opened = open_file(rest, durability)
        try:
            with schema.named(opened.file):
                if (
                    schema.version(opened.connection) != schema.VERSION
                ):  # which may take longer than a loop may stand still
                    await asyncio.to_thread(migrate, opened.connection, clock.utc())
        except BaseException:
            opened.close()
            raise
    except StoreError as error:
        if schema.passes(error):
            raise StoreUnavailable from error
        raise
    return SqliteStore(opened)
