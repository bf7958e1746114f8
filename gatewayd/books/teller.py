"""What the bookkeeper knows of one worker: the units that it has, its journal, and the requests it is serving."""

from collections import Counter
from pathlib import Path
from typing import Any

from gatewayd.books.amounts import Amounts
from gatewayd.books.messages import Messenger
from gatewayd.model import Account, Ending, Hold, Outcome, Posting, posting_of
from gatewayd.records import account_shared
from gatewayd.stores.journal.frames import Intent, Position
from gatewayd.stores.journal.reader import JournalReader


class Teller:
    """One worker, alive or dead. Mutable: it follows the journal.

    `outstanding` is what the worker was given and has neither used (as far as its journal was read) nor returned. Its
    accounts are those that postings have (`account_shared`): one is found without comparing its names with each record.
    `limits`: the largest limit that any of it was leased under, where this bookkeeper gave all of it.
    `unsure` until a living worker has said what it has, after this bookkeeper took over from another.
    `greeting` from its first word to that statement: meanwhile its journal is not read, nor is it given anything.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.messenger: Messenger | None = None
        self.outstanding = Amounts()
        self.limits: dict[Account, int] = {}
        self.open: dict[str, Hold] = {}
        self.unsure = True
        self.greeting = False
        self.recalls: set[int] = set()
        self.grown = True
        self._stated: Position | None = None
        self._reader = JournalReader(directory)

    @property
    def in_flight(self) -> Counter[Account]:
        """Units that its requests are using; added up when somebody asks, which is less often than requests come."""
        total: Counter[Account] = Counter()
        for hold in self.open.values():
            if hold.units:
                total[hold.account] += hold.units
        return total

    @property
    def position(self) -> Position:
        """Up to where its journal was read."""
        return self._reader.position

    @property
    def present(self) -> bool:
        """Whether it can be told and given something."""
        return self.messenger is not None and not self.greeting

    @property
    def sure(self) -> bool:
        """Whether `outstanding` is true: what it has said, and its journal read as far as it was written then."""
        return not (self.unsure or self.greeting or self._behind_its_words)

    @property
    def behindhand(self) -> bool:
        """Whether there may be something to read."""
        return self.grown and not self.greeting

    @property
    def _behind_its_words(self) -> bool:
        return self._stated is not None and self._reader.position < self._stated

    def say(self, *message: Any) -> None:
        """Tell the worker, if it is there."""
        if self.messenger is not None:
            self.messenger.say(*message)

    def gave(self, account: Account, units: int, limit: int) -> None:
        """Units that were leased under this limit."""
        account = account_shared(account.user_id, account.unit, account.period)
        before = self.outstanding.get(account, 0)
        if not before:
            self.limits[account] = limit
        elif account in self.limits:
            self.limits[account] = max(limit, self.limits[account])
        self.outstanding[account] = before + units

    def took_back(self, account: Account, units: int) -> None:
        left = self.outstanding.get(account, 0) - units
        if left:
            self.outstanding[account] = left
        else:
            self.outstanding.pop(account, None)
            self.limits.pop(account, None)

    def greet(self, messenger: Messenger) -> None:
        """It came, or came back; nothing is known for certain until it has said what it has."""
        self.messenger = messenger
        self.greeting = True

    def has(self, leases: list[tuple[Account, int]], position: Position) -> None:
        """What a living worker says that it has, all taken off that it wrote into its journal before the position."""
        self.outstanding = Amounts([(account_shared(*account), units) for account, units in leases])
        self.limits = {account: limit for account, limit in self.limits.items() if self.outstanding[account]}
        self.unsure = self.greeting = False
        self._stated = position
        self.grown = True

    def read(self, most: int) -> list[Posting]:
        """Follow the journal for at most so many entries: what is to be posted. `grown` says if there may be more."""
        if not self.directory.exists():  # its last words came after all of it had been posted
            self.grown = False
            return []
        until = self._stated if self._behind_its_words else None
        entries = self._reader.read(most, until)
        self.grown = len(entries) >= most or (until is not None and bool(entries))
        counts = not self.unsure and until is None
        postings = []
        for entry in entries:
            if isinstance(entry, Intent):
                self.open.setdefault(entry.hold.id, entry.hold)  # a journal repeats intents to free old segments
            elif (hold := self.open.get(entry.hold_id)) is not None:
                del self.open[entry.hold_id]
                if (ending := entry.ending) is not None:
                    postings.append(self._charged(_posting(hold, ending), counts))
        return postings

    def bury(self, now: float) -> list[Posting]:
        """The worker is dead and its journal read to the end: what it was serving ended unseen, and costs."""
        postings = []
        for hold in list(self.open.values()):
            record = hold.record(quantity=hold.cost, outcome=Outcome.UNKNOWN, status=0, ended_at=now)
            del self.open[hold.id]
            drawn = min(hold.cost, hold.units) if hold.limit else 0
            postings.append(self._charged(posting_of(record, drawn), not self.unsure))
        return postings

    def damage(self) -> str | None:
        """What of its journal cannot be read."""
        return self._reader.damage()

    def close(self) -> None:
        self._reader.close()

    def _charged(self, posting: Posting, counts: bool) -> Posting:
        if posting.drawn and counts:
            self.took_back(posting.account, posting.drawn)
        return posting


def _posting(hold: Hold, ending: Ending) -> Posting:
    """As `Hold.record`; a journal says what its worker had worked out."""
    return Posting(
        hold.id,
        hold.user_id,
        hold.plan,
        hold.agent,
        hold.route,
        hold.unit,
        ending.quantity,
        ending.outcome,
        ending.status,
        hold.started_at,
        ending.ended_at,
        ending.bytes_in,
        ending.bytes_out,
        ending.drawn,
    )
