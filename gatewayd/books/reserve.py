"""Units that the daemon has leased from the ledger and none of its workers has. Arithmetic only."""

from collections.abc import Collection, Mapping
from itertools import takewhile

from gatewayd.model import Account


class Reserve:
    """Mutable: a count for each account, and since when it is there, the longest first."""

    def __init__(self) -> None:
        self._free: dict[Account, int] = {}
        self._since: dict[Account, float] = {}

    def of(self, account: Account) -> int:
        return self._free.get(account, 0)

    def add(self, account: Account, units: int, now: float) -> None:
        if units:
            self._free[account] = self._free.get(account, 0) + units
            self._since.pop(account, None)
            self._since[account] = now

    def take(self, account: Account, units: int) -> None:
        if units:
            left = self._free.get(account, 0) - units
            if left:
                self._free[account] = left
            else:
                del self._free[account], self._since[account]

    def replace(self, free: Mapping[Account, int], now: float) -> None:
        """What the ledger says there is, whatever was thought before."""
        self._free = {account: units for account, units in free.items() if units > 0}
        self._since = dict.fromkeys(self._free, now)

    def unwanted(self, since: float, wanted: Collection[Account]) -> dict[Account, int]:
        """What goes back: there since that moment, and wanted by nobody."""
        old = takewhile(lambda account: self._since[account] <= since, self._since)
        return {account: self._free[account] for account in old if account not in wanted}

    def gone_back(self, returned: Mapping[Account, int]) -> None:
        for account, units in returned.items():
            self.take(account, units)
