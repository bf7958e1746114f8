"""The LedgerStore on one database: each call is one transaction on one connection, with a deadline."""

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Final

from gatewayd.clock import Clock
from gatewayd.errors import StoreUnavailable
from gatewayd.model import Account, Balance, DirectoryPage, Durability
from gatewayd.stores.base import Batch, Examination, Grant, LedgerStore, Recall, Want
from gatewayd.stores.postgres import inquiry, leasing, posting, recalling, schema
from gatewayd.stores.postgres.address import in_words, lasts, located
from gatewayd.stores.postgres.connection import Lane, Server, Session

OPENING_SECONDS: Final = 10.0
MIGRATION_SECONDS: Final = 300.0
"""To bring a ledger up to date; one with a million accounts takes some."""


class PostgresStore:
    """See `base.LedgerStore`; used from one event loop. Make one with `open_store`.

    Batches of records have a lane of their own, so that callers who wait for a lease never wait behind them; and so
    have audits, which may read many records.
    """

    def __init__(self, server: Server) -> None:
        self._books = Lane(server, width=1)
        self._counter = Lane(server, width=2)
        self._audits = Lane(server, width=1)

    async def lease(self, node: str, wants: Sequence[Want]) -> Sequence[Grant]:
        return await self._counter.run(partial(leasing.lease, node=node, wants=wants))

    async def post(self, node: str, batch: Batch) -> None:
        await self._books.run(partial(posting.post, node=node, batch=batch))

    async def leases(self, node: str) -> Mapping[Account, int]:
        return await self._counter.run(partial(leasing.leases, node=node))

    async def in_flight(self, node: str) -> Mapping[Account, int]:
        return await self._counter.run(partial(leasing.in_flight, node=node))

    async def recall(self, node: str, accounts: Sequence[Account]) -> Sequence[Recall]:
        return await self._counter.run(partial(recalling.recall, node=node, accounts=accounts))

    async def recalled(self, node: str) -> Mapping[Account, int]:
        return await self._counter.run(partial(recalling.recalled, node=node))

    async def unanswered(self, recalls: Sequence[Recall]) -> Sequence[Recall]:
        return await self._counter.run(partial(recalling.unanswered, recalls=recalls))

    async def balances(self, user_id: str, period: str, *, but: str = "") -> Sequence[Balance]:
        return await self._counter.run(partial(inquiry.balances, user_id=user_id, period=period, but=but))

    async def directory(self, since: int, most: int) -> DirectoryPage:
        return await self._counter.run(partial(inquiry.directory, since=since, most=most))

    async def examine(self, account: Account, so_far: Examination | None, most: int) -> Examination:
        return await self._audits.run(partial(inquiry.examine, account=account, so_far=so_far, most=most))

    async def accounts(self, after: Account | None, most: int) -> Sequence[Account]:
        return await self._audits.run(partial(inquiry.accounts, after=after, most=most))

    async def close(self) -> None:
        self._books.close()
        self._counter.close()
        self._audits.close()


async def open_store(rest: str, durability: Durability, clock: Clock) -> LedgerStore:  # noqa: ARG001
    """The ledger at `postgresql:` + `rest`, its tables made if there are none, and brought up to date.

    Either durability means the same here: what was acknowledged is on the server's disk. Raises StoreError for what
    an operator must mend; StoreUnavailable (its cause says why) while the server is away.
    """
    server = _known(rest)
    address = server.address
    lane = Lane(server, width=1, seconds=OPENING_SECONDS)
    patient = Lane(server, width=1, seconds=MIGRATION_SECONDS)
    try:
        if not await lane.run(partial(_prepare, name=address.name, patient=False)):
            await patient.run(partial(_prepare, name=address.name, patient=True))
    except StoreUnavailable as error:
        if error.__cause__ is not None and lasts(error.__cause__):
            raise in_words(address, error.__cause__) from error.__cause__
        raise
    finally:
        lane.close()
        patient.close()
    return PostgresStore(server)


@lru_cache(maxsize=16)
def _known(rest: str) -> Server:
    """The one at this address: who tries again and again to open it is told once that it is away. Raises StoreError."""
    return Server(located(rest))


async def _prepare(session: Session, name: str, *, patient: bool) -> bool:
    """Whether it is up to date now: one of an older schema is not touched, unless there is the time for it."""
    await session.rows(schema.LOCK)
    (found,) = await session.rows(schema.EXAMINE, (list(schema.TABLES),))
    version = 0
    if schema.examine(name, found):
        version = schema.judge(name, found, await session.rows(schema.SELECT_VERSION))
    if 0 < version < schema.VERSION:
        if not patient:
            await session.rows("COMMIT")
            return False
        await session.rows(f"SET LOCAL statement_timeout = '{MIGRATION_SECONDS:g}s'")
    await session.rows(schema.script(version), (str(schema.VERSION),))
    return True
