"""What tests of ledgers share: requests to hold and settle, every implementation's place, and an audit."""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from gatewayd.clock import Clock
from gatewayd.model import Hold, Outcome, UsageRecord
from gatewayd.stores import chain
from gatewayd.stores.open import LedgerStore, open_ledger, open_reader
from gatewayd.stores.reading import LedgerReader

NOVEMBER = 1_764_000_000.0


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


@dataclass(frozen=True)
class Place:
    """Where a ledger of one implementation lives, across openings."""

    open: Callable[[Clock], LedgerStore]
    read: Callable[[], AbstractContextManager[LedgerReader]]


def _sqlite(directory: Path) -> Place:
    url = f"sqlite:{directory / 'ledger.db'}"
    return Place(lambda clock: open_ledger(url, "process", clock), lambda: open_reader(url))


PLACES: dict[str, Callable[[Path], Place]] = {"sqlite": _sqlite}


def audit(reader: LedgerReader) -> Counter[tuple[str, str, str]]:
    """Fail unless the chain is whole and the sum of the records is what is spent; the sums, by account."""
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
    return sums
