"""What commands may ask of a ledger from outside the daemon, whether one runs or not."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from gatewayd.model import Balance
from gatewayd.stores.chain import RecordRow


class LedgerReader(Protocol):
    """Changes nothing, and tells of the one moment at which it was opened. All of it raises StoreError."""

    def balances(self, *, user_id: str | None = None, period: str | None = None) -> Sequence[Balance]:
        """By user, period and unit; of everybody, or of all periods, where none is named."""

    def records(self) -> Iterator[RecordRow]:
        """Every record, in the order of the chain."""

    def end(self) -> tuple[int, str]:
        """How many records the ledger has written, and the chain value of the last one."""

    def plans(self) -> Mapping[str, str]:
        """Every account's plan by user id."""

    def last_plans(self) -> Mapping[str, str]:
        """The plan of each user's latest request, by user id; an account's plan wins over it."""
