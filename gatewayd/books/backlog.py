"""Records out of journals on their way into the ledger, and what they will change there. Arithmetic only."""

from collections import Counter, deque
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import Final

from gatewayd.model import Account, BillingPeriod, Posting

MOST: Final = 100_000
"""Some 100 MB; what is beyond it waits in the journals."""


class Backlog:
    """A queue. Mutable: what was read from journals goes in, what is in the ledger comes out.

    `drawn` is what the ledger will yet take off the daemon's leases, `beyond` what it will charge without that, of
    units that were not leased: while there is some of it, the ledger's balance of the account says too little.
    """

    def __init__(self) -> None:
        self._waiting: deque[Posting] = deque()
        self._accounts: deque[Account] = deque()  # whose they are
        self.drawn: Counter[Account] = Counter()
        self.beyond: Counter[Account] = Counter()
        self.added = 0
        self.posted = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def full(self) -> bool:
        return len(self._waiting) >= MOST

    def add(self, postings: Sequence[Posting]) -> None:
        self._waiting.extend(postings)
        self.added += len(postings)
        for posting in postings:
            account = account_of(posting)
            self._accounts.append(account)
            if drawn := posting.drawn:
                self.drawn[account] = self.drawn.get(account, 0) + drawn
            if beyond := posting.record.quantity - drawn:
                self.beyond[account] += beyond

    def first(self, most: int) -> tuple[Posting, ...]:
        return tuple(islice(self._waiting, most))

    def whose(self, most: int) -> Collection[Account]:
        """The accounts of the first so many, each once."""
        return set(islice(self._accounts, most))

    def done(self, postings: Sequence[Posting]) -> Mapping[Account, int]:
        """They were the first, and are in the ledger now; what each account drew, in order."""
        self.posted += len(postings)
        accounts: dict[Account, int] = {}
        for posting in postings:
            self._waiting.popleft()
            account = self._accounts.popleft()
            drawn = posting.drawn
            accounts[account] = accounts.get(account, 0) + drawn
            if drawn:
                _less(self.drawn, account, drawn)
            if beyond := posting.record.quantity - drawn:
                _less(self.beyond, account, beyond)
        return accounts


def account_of(posting: Posting) -> Account:
    record = posting.record
    return Account(record.user_id, record.unit, BillingPeriod.at(record.started_at).name)


def _less(counter: Counter[Account], account: Account, units: int) -> None:
    left = counter.get(account, 0) - units
    if left:
        counter[account] = left
    else:
        counter.pop(account, None)  # as `del`, which a Counter does in Python
