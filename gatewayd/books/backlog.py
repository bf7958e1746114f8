"""Records out of journals on their way into the ledger, and what they will change there. Arithmetic only."""

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from gatewayd.books.amounts import Amounts
from gatewayd.model import Account, Posting

MOST: Final = 100_000
"""Some 100 MB; what is beyond it waits in the journals."""
MOST_SORTED: Final = 10_000
"""Records that are sorted by user at a time: some milliseconds in which nobody is served."""


class Run:
    """Records of one account that a user made one after the other, and what they come to. Mutable: it grows."""

    __slots__ = ("account", "beyond", "drawn", "postings")

    def __init__(self, account: Account) -> None:
        self.account: Final = account
        self.postings: Final[list[Posting]] = []
        self.drawn = 0
        self.beyond = 0

    def add(self, posting: Posting) -> None:
        drawn = posting.drawn
        self.postings.append(posting)
        self.drawn += drawn
        self.beyond += posting.record.quantity - drawn

    def cut(self, at: int) -> "tuple[Run, Run]":
        """The same as two, the first of which has so many records."""
        first, second = Run(self.account), Run(self.account)
        for posting in self.postings[:at]:
            first.add(posting)
        second.postings.extend(self.postings[at:])
        second.drawn, second.beyond = self.drawn - first.drawn, self.beyond - first.beyond
        return first, second


class Pile:
    """Records by user, each user's in their order. Mutable: it grows up to MOST_SORTED."""

    def __init__(self) -> None:
        self._runs: list[Run] = []
        self._latest: dict[str, Run] = {}  # of each user
        self.length = 0

    def add(self, account: Account, posting: Posting) -> None:
        user_id = account[0]
        run = self._latest.get(user_id)
        if run is None or run.account != account:
            run = self._latest[user_id] = Run(account)
            self._runs.append(run)
        run.add(posting)
        self.length += 1

    def sorted(self) -> list[Run]:
        """User by user."""
        return sorted(self._runs, key=_whose)


def _whose(run: Run) -> str:
    return run.account[0]


class Portion:
    """Records that are posted at once, and what their accounts come to. Mutable while it is put together.

    A record that waited is far from the processor's caches, so none is looked at here: what there is to know of them
    was added up when they came.
    """

    def __init__(self) -> None:
        self.postings: list[Posting] = []
        self.drawn: dict[Account, int] = {}
        self.beyond: dict[Account, int] = {}

    def add(self, run: Run) -> None:
        account = run.account
        self.postings.extend(run.postings)
        self.drawn[account] = self.drawn.get(account, 0) + run.drawn
        self.beyond[account] = self.beyond.get(account, 0) + run.beyond


class Backlog:
    """A queue. Mutable: what was read from journals goes in, what is in the ledger comes out.

    It is emptied section by section, and each of these user by user: what an account and its pages cost the ledger is
    paid once for all its records then. A user's own stay in order.

    `drawn` is what the ledger will yet take off the daemon's leases, `beyond` what it will charge without that, of
    units that were not leased: while there is some of it, the ledger's balance of the account says too little.
    `posted` of all that was `added`, in the order in which it was, are in the ledger; others behind these may be too.
    """

    def __init__(self) -> None:
        self._piles: deque[Pile] = deque()
        self._section: deque[Portion] = deque()
        self._of_section = 0  # records in it, those included that are in the ledger
        self._left = 0  # records that are not in the ledger
        self.drawn = Amounts()
        self.beyond = Amounts()
        self.added = 0
        self.posted = 0

    def __len__(self) -> int:
        return self._left

    @property
    def full(self) -> bool:
        return self._left >= MOST

    @property
    def begun(self) -> bool:
        """Whether there is a section of which a part is left."""
        return bool(self._section)

    def add(self, postings: Sequence[Posting]) -> None:
        self.added += len(postings)
        self._left += len(postings)
        for posting in postings:
            account = posting.account
            if not self._piles or self._piles[-1].length >= MOST_SORTED:
                self._piles.append(Pile())
            self._piles[-1].add(account, posting)
            if drawn := posting.drawn:
                self.drawn[account] = self.drawn.get(account, 0) + drawn
            if beyond := posting.record.quantity - drawn:
                self.beyond[account] += beyond

    def first(self, most: int) -> Sequence[Posting]:
        """The next to be posted, `most` at best (of what is sorted now); the same ones until they are done."""
        if not self._section and self._piles:
            self._begin(self._piles.popleft(), most)
        return self._section[0].postings if self._section else ()

    def whose(self) -> Collection[Account]:
        """The accounts of the first, each once."""
        return self._section[0].drawn.keys() if self._section else ()

    def done(self) -> Mapping[Account, int]:
        """The first are in the ledger now; what each account drew, in order."""
        if not self._section:
            return {}
        portion = self._section.popleft()
        self._left -= len(portion.postings)
        if not self._section:
            self.posted += self._of_section
        for account, drawn in portion.drawn.items():
            if drawn:
                _less(self.drawn, account, drawn)
        for account, beyond in portion.beyond.items():
            if beyond:
                _less(self.beyond, account, beyond)
        return portion.drawn

    def _begin(self, pile: Pile, most: int) -> None:
        """Cut a pile into portions of about the same length."""
        self._of_section = length = pile.length
        size = -(-length // -(-length // most))
        portion = Portion()
        for run in pile.sorted():
            while (room := size - len(portion.postings)) <= len(run.postings):
                part, run = run.cut(room)  # noqa: PLW2901  # what is left of it goes into the next one
                portion.add(part)
                self._section.append(portion)
                portion = Portion()
            if run.postings:
                portion.add(run)
        if portion.postings:
            self._section.append(portion)


def _less(amounts: Amounts, account: Account, units: int) -> None:
    left = amounts.get(account, 0) - units
    if left:
        amounts[account] = left
    else:
        amounts.pop(account, None)
