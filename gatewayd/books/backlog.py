"""Records out of journals on their way into the ledger, and what they will change there. Arithmetic only."""

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from gatewayd.model import Account, Posting

MOST: Final = 100_000
"""Some 100 MB; what is beyond it waits in the journals."""
MOST_SORTED: Final = 10_000
"""Records that are sorted by user at a time: some milliseconds in which nobody is served."""


class Total:
    """What an account's records that are not in the ledger come to. Mutable: they come and go.

    `drawn` is what the ledger will yet take off the daemon's leases, `beyond` what it will charge without that.
    """

    __slots__ = ("beyond", "drawn", "records")

    def __init__(self) -> None:
        self.records = 0
        self.drawn = 0
        self.beyond = 0


class Run:
    """Records of one account that a user made one after the other, and what they come to. Mutable: it grows.

    What comes to it comes to the account's `total` too, without a look for that one.
    """

    __slots__ = ("account", "beyond", "drawn", "postings", "total")

    def __init__(self, account: Account, total: Total) -> None:
        self.account: Final = account
        self.total: Final = total
        self.postings: Final[list[Posting]] = []
        self.drawn = 0
        self.beyond = 0

    def add(self, posting: Posting) -> None:
        drawn = posting.drawn
        beyond = posting.quantity - drawn
        self.postings.append(posting)
        self.drawn += drawn
        self.beyond += beyond
        total = self.total
        total.records += 1
        total.drawn += drawn
        total.beyond += beyond

    def cut(self, at: int) -> "tuple[Run, Run]":
        """The same as two, the first of which has so many records."""
        first, second = Run(self.account, self.total), Run(self.account, self.total)
        first.postings.extend(self.postings[:at])
        second.postings.extend(self.postings[at:])
        for posting in first.postings:
            first.drawn += posting.drawn
            first.beyond += posting.quantity - posting.drawn
        second.drawn, second.beyond = self.drawn - first.drawn, self.beyond - first.beyond
        return first, second

    def done(self) -> bool:
        """Its records are in the ledger; whether nothing of the account waits any more."""
        total = self.total
        total.records -= len(self.postings)
        total.drawn -= self.drawn
        total.beyond -= self.beyond
        return not total.records


class Pile:
    """Runs of records, each user's in their order. Mutable: it grows up to MOST_SORTED records."""

    def __init__(self) -> None:
        self._runs: list[Run] = []
        self._latest: dict[str, Run] = {}  # of each user
        self.length = 0

    def run_of(self, account: Account) -> Run | None:
        """The one that the account's next record belongs to, if there is one."""
        run = self._latest.get(account[0])
        return run if run is not None and (run.account is account or run.account == account) else None

    def begin(self, run: Run) -> None:
        self._runs.append(run)
        self._latest[run.account[0]] = run

    def sorted(self) -> list[Run]:
        """User by user."""
        return sorted(self._runs, key=_whose)


def _whose(run: Run) -> str:
    return run.account[0]


class Portion:
    """Runs whose records are posted at once. Mutable while it is put together.

    A record that waited is far from the processor's caches, so none is looked at here: what there is to know of them
    was added up when they came.
    """

    def __init__(self) -> None:
        self.postings: list[Posting] = []
        self.runs: list[Run] = []
        self.drawn: dict[Account, int] = {}

    def add(self, run: Run) -> None:
        self.postings.extend(run.postings)
        self.runs.append(run)
        self.drawn[run.account] = self.drawn.get(run.account, 0) + run.drawn


class Backlog:
    """A queue. Mutable: what was read from journals goes in, what is in the ledger comes out.

    It is emptied section by section, and each of these user by user: what an account and its pages cost the ledger is
    paid once for all its records then. A user's own stay in order.

    `posted` of all that was `added`, in the order in which it was, are in the ledger; others behind these may be too.
    """

    def __init__(self) -> None:
        self._piles: deque[Pile] = deque()
        self._section: deque[Portion] = deque()
        self._of_section = 0  # records in it, those included that are in the ledger
        self._left = 0  # records that are not in the ledger
        self._totals: dict[Account, Total] = {}
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

    @property
    def drawn(self) -> Mapping[Account, int]:
        """What the ledger will yet take off the daemon's leases, by account, zeros left out."""
        return {account: total.drawn for account, total in self._totals.items() if total.drawn}

    def drawn_by(self, account: Account) -> int:
        """The same of one."""
        return 0 if (total := self._totals.get(account)) is None else total.drawn

    def beyond(self, account: Account) -> int:
        """What the ledger will charge an account of units that were not leased.

        While there is some of it, the ledger's balance of the account says too little.
        """
        return 0 if (total := self._totals.get(account)) is None else total.beyond

    def add(self, postings: Sequence[Posting]) -> None:
        self.added += len(postings)
        self._left += len(postings)
        for posting in postings:
            if not self._piles or self._piles[-1].length >= MOST_SORTED:
                self._piles.append(Pile())
            pile = self._piles[-1]
            account = posting.account
            if (run := pile.run_of(account)) is None:
                run = self._run(account)
                pile.begin(run)
            run.add(posting)
            pile.length += 1

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
        for run in portion.runs:
            if run.done():
                del self._totals[run.account]
        return portion.drawn

    def _run(self, account: Account) -> Run:
        if (total := self._totals.get(account)) is None:
            total = self._totals[account] = Total()
        return Run(account, total)

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
