"""What is lent while the ledger is away: units that one worker has idle, to another whose callers want them.

They are this daemon's already, so the ledger need not be asked; it finds them with whoever has them when it is there
again. Only what nobody has idle cannot be had without it.
"""

from collections import Counter
from collections.abc import Callable

from gatewayd.books.lending import Wish
from gatewayd.books.staff import Staff
from gatewayd.books.teller import Teller
from gatewayd.model import Account


class Makeshift:
    """Mutable: what workers gave back since the ledger is away, and wishes that wait for more of that.

    `otherwise` is called with a wish that cannot be served so. What was leased under one limit serves nobody who may
    have less, and nothing is lent of an account of which more was charged than was held: these must ask the ledger.
    """

    def __init__(self, staff: Staff, otherwise: Callable[[Wish], None]) -> None:
        self._staff = staff
        self._otherwise = otherwise
        self._idle: Counter[Account] = Counter()
        self._limits: dict[Account, int] = {}
        self._wishes: list[Wish] = []

    def want(self, wish: Wish) -> bool:
        """Whether it is served here, or may be when workers have answered; asked once for each wish."""
        if wish.question or not wish.least or wish.tried:
            return False
        wish.tried = True
        if self._is_overspent(wish.account):
            return False
        if self._granted(wish):
            return True
        wish.asked = self._staff.recall(wish.account, but=wish.teller, within=wish.limit)
        if wish.asked:
            self._wishes.append(wish)
        return bool(wish.asked)

    def add(self, account: Account, units: int, limit: int | None) -> None:
        """A worker gave them back, which were leased under that limit; where nobody knows it, only the ledger helps."""
        if limit is not None:
            self._idle[account] += units
            self._limits[account] = max(limit, self._limits.get(account, 0))

    def answered(self, number: int) -> None:
        """A worker has given back what it had idle, or is gone."""
        for wish in [wish for wish in self._wishes if number in wish.asked]:
            wish.asked.discard(number)
            if self._granted(wish):
                self._wishes.remove(wish)
            elif not wish.asked:
                self._wishes.remove(wish)
                self._otherwise(wish)

    def forget(self, teller: Teller) -> None:
        """Whose connection is gone asks again when it comes back."""
        self._wishes = [wish for wish in self._wishes if wish.teller is not teller]

    def end(self) -> None:
        """The ledger is there again, and knows whose everything is."""
        self._idle.clear()
        self._limits.clear()
        wishes, self._wishes = self._wishes, []
        for wish in wishes:
            wish.asked.clear()
            self._otherwise(wish)

    def _granted(self, wish: Wish) -> bool:
        account = wish.account
        if self._idle[account] < wish.least or self._limits.get(account, 0) > wish.limit:
            return False
        units = min(self._idle[account], wish.needed)
        self._idle[account] -= units
        if not self._idle[account]:
            del self._idle[account], self._limits[account]
        wish.granted(units, sound=False)
        return True

    def _is_overspent(self, account: Account) -> bool:
        """As far as journals say; where they cannot be read to their end, it may be."""
        for teller in self._staff:
            teller.grown = True
            while teller.behindhand and not self._staff.backlog.full and self._staff.read(teller):
                pass
        return self._staff.backlog.full or self._staff.backlog.beyond(account) > 0
