"""What tests of ledgers share: wants, postings, every implementation's place, and an audit."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from gatewayd.books.patrol import difference
from gatewayd.clock import Clock
from gatewayd.model import Account, Hold, Outcome, Posting, UsageRecord, posting_of
from gatewayd.stores import chain
from gatewayd.stores.base import Batch, LedgerStore, Want
from gatewayd.stores.postgres.clerk import open_clerk as open_postgres_clerk
from gatewayd.stores.postgres.reader import open_reader as open_postgres_reader
from gatewayd.stores.postgres.store import open_store as open_postgres_store
from gatewayd.stores.postgres.usage import open_usage as open_postgres_usage
from gatewayd.stores.reading import Clerk, LedgerReader, UsageReader
from gatewayd.stores.sqlite.clerk import open_clerk
from gatewayd.stores.sqlite.reader import open_reader
from gatewayd.stores.sqlite.store import open_store
from gatewayd.stores.sqlite.usage import open_usage
from tests.postgres import execute, shared_server

NOVEMBER = 1_764_000_000.0
ALICE = Account("alice", "api_calls", "2025-11")


def hold(
    name: str = "request-1",
    *,
    user: str = "alice",
    unit: str = "api_calls",
    units: int = 1,
    limit: int = 100,
    cost: int | None = None,
    at: float = NOVEMBER,
) -> Hold:
    cost = units if cost is None else cost
    return Hold(name, user, "free", "email", "email", unit, units, limit, cost, at)


def record(of: Hold, quantity: int | None = None, *, outcome: Outcome = Outcome.DELIVERED) -> UsageRecord:
    return UsageRecord(
        id=of.id,
        user_id=of.user_id,
        plan=of.plan,
        agent=of.agent,
        route=of.route,
        unit=of.unit,
        quantity=of.cost if quantity is None else quantity,
        outcome=outcome,
        status=200,
        started_at=of.started_at,
        ended_at=of.started_at + 0.25,
        bytes_in=160,
        bytes_out=913,
    )


def want(account: Account = ALICE, *, limit: int = 100, least: int = 1, most: int = 1) -> Want:
    return Want(account, limit, least, most)


def posting(
    name: str = "request-1",
    *,
    account: Account = ALICE,
    quantity: int = 1,
    drawn: int | None = None,
    at: float | None = None,
) -> Posting:
    """The record of a request in the middle of the account's period, unless `at` is another moment."""
    moment = chain.epoch(f"{account.period}-24T16:00:00.000Z") if at is None else at
    of = hold(name, user=account.user_id, unit=account.unit, at=moment)
    return posting_of(record(of, quantity), quantity if drawn is None else drawn)


async def drift(store: LedgerStore, accounts: Iterable[Account], *, most: int = 1_000) -> int:
    """Units by which these accounts differ from their records and leases, `most` records read at a time."""
    total = 0
    for account in accounts:
        found = await store.examine(account, None, most)
        while not found.done:
            found = await store.examine(account, found, most)
        total += difference(found)
    return total


def batch(*postings: Posting) -> Batch:
    return Batch(postings)


@dataclass(frozen=True)
class Place:
    """Where a ledger of one implementation lives, across openings.

    `tamper` does one SQL statement to the database behind the store's back, and tells its rows, if it has any.
    """

    open: Callable[[Clock], Coroutine[Any, Any, LedgerStore]]
    read: Callable[[], AbstractContextManager[LedgerReader]]
    clerk: Callable[[], AbstractContextManager[Clerk]]
    usage: Callable[[], AbstractContextManager[UsageReader]]
    tamper: Callable[[str], list[tuple[object, ...]]]


def _sqlite(directory: Path) -> Place:
    path = str(directory / "ledger.db")

    def tamper(statement: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            return connection.execute(statement).fetchall()

    return Place(
        partial(open_store, path, "process"),
        partial(open_reader, path),
        partial(open_clerk, path),
        partial(open_usage, path),
        tamper,
    )


def _postgresql(_directory: Path) -> Place:
    rest = shared_server().space()

    def tamper(statement: str) -> list[tuple[object, ...]]:
        return execute(rest, statement)

    return Place(
        partial(open_postgres_store, rest, "process"),
        partial(open_postgres_reader, rest),
        partial(open_postgres_clerk, rest),
        partial(open_postgres_usage, rest),
        tamper,
    )


# An entry is given an empty directory, new for every test; its place must be an empty one too.
PLACES: dict[str, Callable[[Path], Place]] = {"sqlite": _sqlite, "postgresql": _postgresql}


def audit(reader: LedgerReader) -> Counter[tuple[str, str, str]]:
    """Fail unless the chain is whole, what is spent is the sum of the records and what is held that of the leases.

    The sums of the records, by account.
    """
    head, sums, count = chain.GENESIS, Counter[tuple[str, str, str]](), 0
    for row in reader.records():
        *columns, found = row
        head = chain.link(head, columns)
        assert found == head, row.id
        sums[row.user_id, row.unit, row.period] += row.quantity
        count += 1
    assert reader.end() == (count, head)
    spent = {(b.user_id, b.unit, b.period): b.spent for b in reader.balances() if b.spent}
    assert spent == {account: total for account, total in sums.items() if total}
    for account, (held, leased) in reader.leased().items():
        assert held == leased >= 0, account
    return sums
