"""What the ledger says in the end: every record of a trial's users, and whether the sums agree."""

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Final

from gatewayd.model import Account
from gatewayd.prove.findings import Check, Finding
from gatewayd.prove.stage import Stage
from gatewayd.stores.chain import RecordRow
from gatewayd.stores.open import open_reader
from gatewayd.stores.reading import LedgerReader
from gatewayd.stores.verifying import Audit

DRIFT: Final = Check(
    "drift",
    "what is spent is the sum of the records, what is held the sum of the leases, and nothing is after a clean stop",
    wrongs=("drifted", "misheld", "left held", "chain faults"),
    needs=("records", "balances"),
)


@dataclass(frozen=True, slots=True)
class Books:
    """Records by their id; of a sound ledger, one each."""

    records: dict[str, list[RecordRow]]

    @property
    def charges(self) -> dict[str, int]:
        """Units by request id."""
        return {name: rows[0].quantity for name, rows in self.records.items()}

    @property
    def spending(self) -> Counter[str]:
        """Units by user."""
        spent: Counter[str] = Counter()
        for rows in self.records.values():
            for row in rows:
                spent[row.user_id] += row.quantity
        return spent


async def read_books(stage: Stage, drift: Finding) -> Books:
    """As they are at this moment, in which the sums must agree too. Raises StoreError."""
    return await asyncio.to_thread(seen, stage.ledger, stage.prefix, drift)


async def close_books(stage: Stage, drift: Finding) -> Books:
    """Stop the daemons in order and see that the ledger agrees with itself. Raises StoreError and DaemonFailed."""
    await stage.stop()
    return await asyncio.to_thread(audited, stage.ledger, stage.prefix, drift)


def seen(ledger: str, prefix: str, drift: Finding) -> Books:
    """The records of users with this prefix; what does not agree is said to `drift`. Raises StoreError."""
    with open_reader(ledger) as reader:
        books = _gathered(reader, prefix)
        _compare_spent(reader, prefix, books, drift)
        _compare_held(reader, prefix, drift)
    return books


def _gathered(reader: LedgerReader, prefix: str) -> Books:
    records: defaultdict[str, list[RecordRow]] = defaultdict(list)
    for row in reader.records():
        if row.user_id.startswith(prefix):
            records[row.id].append(row)
    return Books(dict(records))


def audited(ledger: str, prefix: str, drift: Finding) -> Books:
    """The same of a ledger that nobody uses any more: nothing is held, and the chain is whole. Raises StoreError."""
    books = seen(ledger, prefix, drift)
    with open_reader(ledger) as reader:
        for account, (held, _) in reader.leased().items():
            if account.user_id.startswith(prefix):
                drift.count("balances")
                drift.wrong("left held", f"{account}: {held} after a clean stop", abs(held))
        for fault in Audit(reader).faults():
            drift.wrong("chain faults", fault)
    drift.count("records", sum(map(len, books.records.values())))
    return books


def _compare_spent(reader: LedgerReader, prefix: str, books: Books, drift: Finding) -> None:
    sums: Counter[Account] = Counter()
    for rows in books.records.values():
        for row in rows:
            sums[Account(row.user_id, row.unit, row.period)] += row.quantity
    spent = {
        Account(each.user_id, each.unit, each.period): each.spent
        for each in reader.balances()
        if each.user_id.startswith(prefix)
    }
    for account in spent.keys() | sums.keys():
        if off := abs(spent.get(account, 0) - sums[account]):
            drift.wrong("drifted", f"{account}: {spent.get(account, 0)} spent, records say {sums[account]}", off)


def _compare_held(reader: LedgerReader, prefix: str, drift: Finding) -> None:
    for account, (held, leased) in reader.leased().items():
        if account.user_id.startswith(prefix):
            drift.wrong("misheld", f"{account}: {held} held, leases say {leased}", abs(held - leased))
