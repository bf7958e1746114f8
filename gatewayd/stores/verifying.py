"""Whether a ledger is whole: the chain of its records, its balances against them, its leases, its end; pure."""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from gatewayd.model import Account
from gatewayd.stores.chain import GENESIS, RecordRow, link
from gatewayd.stores.reading import LedgerReader

_KINDS: Final = tuple(RecordRow.__annotations__.values())
_BREAK: Final = "one of the two was changed, or records between them are missing"


class Audit:
    """Goes through a ledger once. Mutable: its figures are complete when `faults` has come to its end.

    It keeps sums by account, and never more than two records.
    """

    def __init__(self, ledger: LedgerReader) -> None:
        self._ledger = ledger
        self._sums: Counter[Account] = Counter()
        self._last = ""
        self.records = 0
        self.balances = 0
        self.units = 0
        self.head = GENESIS
        self._breaks = 0
        self._limits: dict[Account, int] = {}

    def faults(self) -> Iterator[str]:
        """A line for each fault, the records' in their order. Raises StoreError."""
        for row in self._ledger.records():
            yield from self._record(row)
        yield from self._end()
        yield from self._spent()
        yield from self._held()
        if not self._breaks:  # or it may be no more than what a missing record leaves
            yield from self._ledger.misnumbered()

    def oddities(self, period: str, quotas: Mapping[str, Collection[int]]) -> Iterator[str]:
        """Limits in a period that no plan has, by the quotas of each unit: a changed configuration leaves such, too."""
        for account, limit in self._limits.items():
            if account.period == period and limit and limit not in quotas.get(account.unit, ()):
                yield f"balance {place(account)}: limit_units is {limit}, which is no plan's quota of {account.unit}"

    def _record(self, row: RecordRow) -> Iterator[str]:
        before, name = self.head, shown(row.id)
        self.records += 1
        if not _readable(row):
            yield f"record {name}: a column holds what gatewayd never writes"
        else:
            if link(before, row[:-1]) != row.chain:
                self._breaks += 1
                yield f"record {name}: does not follow {self._previous}: {self._reason}"
            self.units += row.quantity
            self._sums[Account(row.user_id, row.unit, row.period)] += row.quantity
        self.head, self._last = str(row.chain), name

    @property
    def _previous(self) -> str:
        return f"record {self._last}" if self._last else "the ledger's beginning"

    @property
    def _reason(self) -> str:
        return _BREAK if self._last else "it was changed, or records before it are missing"

    def _end(self) -> Iterator[str]:
        """What was written last must be there last: to cut off the end breaks no link.

        That their number is another one is a fault of its own only where no break of the chain explains it.
        """
        written, head = self._ledger.end()
        count = f"{written} records were written, {self.records} are here"
        if head != self.head:
            last = f"record {self._last}" if self._last else "the ledger's beginning"
            yield f"{last}: is not where the ledger ends: the end was cut off or changed; {count}"
        elif written != self.records and not self._breaks:
            yield f"record {self._last or 'none'}: is the last one, but {count}"

    def _spent(self) -> Iterator[str]:
        for balance in self._ledger.balances():
            account = Account(balance.user_id, balance.unit, balance.period)
            total = self._sums.pop(account, 0)
            self.balances += 1
            if not _counted(balance.spent, balance.limit) or balance.limit < 0:
                yield f"balance {place(account)}: a column holds what gatewayd never writes"
                continue
            self._limits[account] = balance.limit
            if balance.spent != total:
                yield f"balance {place(account)}: spent is {balance.spent}, its records add up to {total}"
        for account, total in sorted(self._sums.items()):
            yield f"balance {place(account)}: is missing, its records add up to {total}"

    def _held(self) -> Iterator[str]:
        for account, (held, leased) in self._ledger.leased().items():
            if not _counted(held, leased):
                yield f"balance {place(account)}: held or a lease holds what gatewayd never writes"
                continue
            if held != leased:
                yield f"balance {place(account)}: held is {held}, its leases add up to {leased}"
            if min(held, leased) < 0:
                yield f"balance {place(account)}: held or a lease is below 0"


def _counted(*amounts: object) -> bool:
    """Whether they are whole numbers; a database may let others in."""
    return all(type(amount) is int for amount in amounts)


def _readable(row: RecordRow) -> bool:
    """Whether every column is of its type; a database lets others in."""
    return all(type(value) is kind for value, kind in zip(row, _KINDS, strict=True))


def place(account: Account) -> str:
    """Whose units of what and when, on one line whatever the names hold."""
    return " ".join(map(shown, account))


def shown(text: object) -> str:
    """As it is if it is one plain word, else as JSON writes it."""
    plain = isinstance(text, str) and text.isprintable() and text and not set(text) & set(' "')
    return str(text) if plain else json.dumps(text, default=repr)
