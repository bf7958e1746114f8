"""All workers of the daemon, and their journals: who came, who died, what each has."""

import logging
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from itertools import count
from pathlib import Path
from typing import Any, Final

from gatewayd.books.backlog import Backlog
from gatewayd.books.messages import Messenger
from gatewayd.books.teller import Teller
from gatewayd.model import Account
from gatewayd.stores.journal import directory as journals
from gatewayd.stores.journal.frames import Position

logger = logging.getLogger(__name__)

READ_AT_ONCE: Final = 1_000


class Staff:
    """Mutable: tellers come and go. What their journals say gathers here until it is posted."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._tellers: dict[str, Teller] = {}
        self._numbers = count(1)
        self.backlog = Backlog()
        self._marks: deque[tuple[int, Teller, Position]] = deque()
        self._leaving: dict[Teller, tuple[journals.Lock | None, int]] = {}

    def __iter__(self) -> Iterator[Teller]:
        return iter(tuple(self._tellers.values()))

    def take_stock(self) -> None:
        """Find the journals that a bookkeeper before this one followed. Raises StoreError."""
        for name in journals.names(self._root):
            self._tellers[name] = Teller(self._root / name)

    @property
    def all_sure(self) -> bool:
        """Whether it is known of every worker what it has."""
        return all(teller.sure for teller in self)

    @property
    def outstanding(self) -> Counter[Account]:
        total: Counter[Account] = Counter()
        for teller in self:
            total.update(teller.outstanding)
        return total

    @property
    def in_flight(self) -> Counter[Account]:
        total: Counter[Account] = Counter()
        for teller in self:
            total.update(teller.in_flight)
        return total

    @property
    def open_holds(self) -> int:
        return sum(len(teller.open) for teller in self)

    def behind(self, messenger: Messenger) -> Teller | None:
        for teller in self._tellers.values():  # each message's first step, and there are few
            if teller.messenger is messenger:
                return teller
        return None

    def named(self, name: str) -> Teller:
        """The worker whose journal has this name; a new one if nobody knew it."""
        if (teller := self._tellers.get(name)) is None:
            teller = self._tellers[name] = Teller(self._root / name)
        return teller

    def read(self, teller: Teller) -> bool:
        """Follow one journal a while; whether there was anything."""
        before = teller.position
        self.backlog.add(teller.read(READ_AT_ONCE))
        if teller.position == before:
            return False
        self._marks.append((self.backlog.added, teller, teller.position))
        return True

    def read_all(self, most: int) -> None:
        """Follow those that have grown, until about so much is to be posted."""
        for teller in self:
            if len(self.backlog) >= most:
                return
            if teller.behindhand:
                self.read(teller)

    def shipped(self) -> Mapping[Teller, Position]:
        """Up to where journals are in the ledger, if that is news."""
        passed: dict[Teller, Position] = {}
        while self._marks and self._marks[0][0] <= self.backlog.posted:
            _, teller, position = self._marks.popleft()
            passed[teller] = position
        return passed

    @property
    def behindhand(self) -> bool:
        """Whether there is more to read."""
        return any(teller.behindhand for teller in self)

    def recall(self, account: Account, *, but: Teller | None = None, within: int | None = None) -> set[int]:
        """Ask all who have some of it to give back what is idle; the numbers that their answers will bear.

        `within`: only those whose units are known to have been leased under at most this limit.
        """
        asked = set()
        for teller in self:
            if within is not None and teller.limits.get(account, within + 1) > within:
                continue
            if teller is not but and teller.present and teller.outstanding[account]:
                number = next(self._numbers)
                teller.recalls.add(number)
                teller.say("recall", number, *account)
                asked.add(number)
        return asked

    def misses(self, account: Account) -> bool:
        """Whether somebody has some of it who cannot be asked at present."""
        return any(teller.outstanding[account] and not teller.present for teller in self)

    def dead(self, *, at_the_end: bool = False) -> Iterator[tuple[Teller, journals.Lock | None]]:
        """Those who are gone and whose journal nobody holds any more, with its lock; None if they took it with them.

        `at_the_end`: also those whose last words may not have arrived yet, nor will.
        """
        for teller in self:
            if teller.messenger is None or at_the_end:
                lock = journals.take_over(teller.directory)
                if lock is not None or not teller.directory.exists():
                    yield teller, lock

    def look_for_strangers(self) -> None:
        """Find journals of workers who have not said hello; they may have died before they could."""
        leaving = {teller.directory.name for teller in self._leaving}
        for name in journals.names(self._root):
            if name not in self._tellers and name not in leaving:
                self._tellers[name] = Teller(self._root / name)
                self._tellers[name].unsure = False

    def bury(self, teller: Teller, lock: journals.Lock | None, now: float) -> dict[Account, int]:
        """Its journal was read to the end; the units that it leaves. The lock is kept until all of it is posted."""
        self.backlog.add(teller.bury(now))
        del self._tellers[teller.directory.name]
        self._leaving[teller] = lock, self.backlog.added
        return dict(teller.outstanding)

    def forget_posted(self) -> None:
        """The dead of whom everything is in the ledger are remembered no more."""
        gone = [teller for teller, (_, mark) in self._leaving.items() if mark <= self.backlog.posted]
        for teller in gone:
            lock, _ = self._leaving.pop(teller)
            with lock or nullcontext():
                self._forget(teller)

    def _forget(self, teller: Teller) -> None:
        """Its journal goes, or is set aside if not all of it could be read."""
        damage = teller.damage() if teller.directory.exists() else None
        teller.close()
        if damage is None:
            journals.discard(teller.directory)
        else:
            logger.error("the journal of a dead worker is damaged, what can be read is posted: %s", damage)
            journals.set_aside(teller.directory)

    def tell_all(self, *message: Any) -> None:
        for teller in self:
            teller.say(*message)

    def close(self) -> None:
        for teller in self:
            if teller.messenger is not None:
                teller.messenger.hang_up()
            teller.close()
        for teller, (lock, _) in self._leaving.items():
            teller.close()
            if lock is not None:
                lock.release()
