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


class Pile:
    """Records by user, each user's in their order. Mutable: it grows up to MOST_SORTED."""

    def __init__(self) -> None:
        self.by_user: dict[str, list[Posting]] = {}
        self.length = 0

    def add(self, user_id: str, posting: Posting) -> None:
        if (own := self.by_user.get(user_id)) is None:
            own = self.by_user[user_id] = []
        own.append(posting)
        self.length += 1


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
        self._section: deque[tuple[Posting, ...]] = deque()
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
            self._piles[-1].add(account[0], posting)
            if drawn := posting.drawn:
                self.drawn[account] = self.drawn.get(account, 0) + drawn
            if beyond := posting.record.quantity - drawn:
                self.beyond[account] += beyond

    def first(self, most: int) -> tuple[Posting, ...]:
        """The next to be posted, `most` at best (of what is sorted now); the same ones until they are done."""
        if not self._section and self._piles:
            self._begin(self._piles.popleft(), most)
        return self._section[0] if self._section else ()

    def whose(self) -> Collection[Account]:
        """The accounts of the first, each once."""
        return {posting.account for posting in self._section[0]} if self._section else ()

    def done(self) -> Mapping[Account, int]:
        """The first are in the ledger now; what each account drew, in order."""
        accounts: dict[Account, int] = {}
        if not self._section:
            return accounts
        batch = self._section.popleft()
        self._left -= len(batch)
        if not self._section:
            self.posted += self._of_section
        for posting in batch:
            account, drawn = posting.account, posting.drawn
            accounts[account] = accounts.get(account, 0) + drawn
            if beyond := posting.record.quantity - drawn:
                _less(self.beyond, account, beyond)
        for account, drawn in accounts.items():
            if drawn:
                _less(self.drawn, account, drawn)
        return accounts

    def _begin(self, pile: Pile, most: int) -> None:
        """Cut a pile into batches of about the same length."""
        self._of_section = length = pile.length
        postings = [posting for user in sorted(pile.by_user) for posting in pile.by_user[user]]
        batches = -(-length // most)
        size = -(-length // batches)
        self._section.extend([tuple(postings[start : start + size]) for start in range(0, length, size)])


def _less(amounts: Amounts, account: Account, units: int) -> None:
    left = amounts.get(account, 0) - units
    if left:
        amounts[account] = left
    else:
        amounts.pop(account, None)
