"""What the tests of this room share: stores opened and closed, and what the tables say."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gatewayd.model import Account
from gatewayd.stores.base import LedgerStore
from gatewayd.stores.postgres.reader import open_reader
from gatewayd.stores.postgres.store import open_store
from tests.clocks import ManualClock
from tests.stores.ledgers import audit


@asynccontextmanager
async def opened(rest: str) -> AsyncIterator[LedgerStore]:
    store = await open_store(rest, "process", ManualClock())
    try:
        yield store
    finally:
        await store.close()


def audited(rest: str) -> dict[Account, tuple[int, int, int]]:
    """Limit, units in leases and units spent, by account, of a ledger without a fault."""
    with open_reader(rest) as reader:
        audit(reader)
        leased = reader.leased()
        found = {Account(b.user_id, b.unit, b.period): b for b in reader.balances()}
    return {account: (b.limit, leased[account][0], b.spent) for account, b in found.items()}
