"""What a daemon that is alone with its ledger has leased, counted in memory first: the rows of it follow.

Nobody else takes units out of such a ledger, so a grant and a return are two sums here. A lease that was granted and
given back before it is ROW_SECONDS old costs no row at all; docs/design.md says why nothing is lost with this memory.
"""

from collections.abc import Collection, Mapping
from itertools import takewhile

from gatewayd.model import Account
from gatewayd.stores.base import Grant, Sheet, Standing, Want

ROW_SECONDS = 2.5  # not final, so that it can be replaced where it is compiled too
"""What is out for longer is in the rows; a worker gives back what it has idle after 2 s. What requests are using that
take long enough to be told of is there as soon as that is."""


class Till:
    """Mutable: `leased` is the truth, `written` what the rows say of it, by account, zeros left out.

    Where they differ, `since` says from which moment on, the longest ago first; `due` are those whose row is to follow
    at once, because it says more than is out. `limits` are those that balances do not have yet.
    """

    def __init__(self) -> None:
        self._leased: dict[Account, int] = {}
        self._written: dict[Account, int] = {}
        self._since: dict[Account, float] = {}
        self._due: dict[Account, None] = {}
        self._limits: dict[Account, int] = {}

    @property
    def owes_limits(self) -> bool:
        """Whether there are balances that do not exist yet, or have another limit."""
        return bool(self._limits)

    def begin(self, leased: Mapping[Account, int], written: Mapping[Account, int]) -> None:
        """What is out, as those say who have it, and what the rows say, as they were just read."""
        self._leased = {account: units for account, units in leased.items() if units > 0}
        self._written = dict(written)
        self._since = {}
        accounts = {**self._leased, **self._written}
        self._due = {each: None for each in accounts if self._leased.get(each, 0) != self._written.get(each, 0)}

    def grant(self, want: Want, standing: Standing | None, now: float) -> Grant:
        """What fits (leased + units ≤ limit − spent); nothing to an account that cannot be stored, which has none."""
        account, limit = want.account, want.limit
        if standing is None:
            return Grant(0, limit, 0, 0, 0)
        leased = self._leased.get(account, 0)
        room = limit - standing.spent - leased
        units = min(room, want.most) if room >= max(want.least, 0) else 0
        if self._limits.get(account, standing.limit) != limit:
            self._limits[account] = limit
        if units:
            leased += units
            self._set(account, leased, now)
        return Grant(units, limit, standing.spent, leased, 0)

    def take_back(self, returned: Mapping[Account, int], now: float) -> None:
        for account, units in returned.items():
            self._set(account, self._leased.get(account, 0) - units, now)

    def sheet(self, charged: Collection[Account], using: Mapping[Account, int], now: float, *, whole: bool) -> Sheet:
        """What rows are to follow with a batch that charges some accounts, and tells of requests `using` others.

        `whole`: all of them.
        """
        since = self._since
        accounts = dict(self._due)
        accounts.update(dict.fromkeys(takewhile(lambda each: whole or since[each] <= now - ROW_SECONDS, since)))
        accounts.update((account, None) for account, units in using.items() if units and account in since)
        leased = {account: self._leased.get(account, 0) for account in accounts}
        rowless = {each for each in charged if not leased.get(each, each in self._written)}
        return Sheet(dict(self._limits), leased, rowless)

    def written(self, sheet: Sheet) -> None:
        """These rows are there."""
        for account, limit in sheet.limits.items():
            if self._limits.get(account) == limit:
                del self._limits[account]
        for account, units in sheet.leased.items():
            self._since.pop(account, None)
            self._due.pop(account, None)
            _put(self._written, account, units)

    def charged(self, drawn: Mapping[Account, int], now: float) -> None:
        """So much was drawn from leases and is spent now, in the rows too, as far as these had it."""
        for account, units in drawn.items():
            if units:
                if row := self._written.get(account, 0):
                    _put(self._written, account, max(row - units, 0))
                self._set(account, self._leased.get(account, 0) - units, now)

    def _set(self, account: Account, units: int, now: float) -> None:
        units = max(units, 0)
        _put(self._leased, account, units)
        row = self._written.get(account, 0)
        if units < row:
            self._due[account] = None
        elif account in self._due:
            del self._due[account]
        if units == row:
            self._since.pop(account, None)
        elif account not in self._since:
            self._since[account] = now


def _put(counts: dict[Account, int], account: Account, units: int) -> None:
    if units:
        counts[account] = units
    else:
        counts.pop(account, None)
