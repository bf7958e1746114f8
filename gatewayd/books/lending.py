"""Who wants units, who gets them, and that nobody is refused while somebody else has some idle."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gatewayd.books.requests import CALM_SECONDS, Requests
from gatewayd.books.reserve import Reserve
from gatewayd.books.staff import Staff
from gatewayd.books.teller import Teller
from gatewayd.books.vault import Vault
from gatewayd.clock import Clock
from gatewayd.model import Account
from gatewayd.stores.base import Grant, Recall, Want

RECALL_SECONDS: Final = 1.0
"""How long others may take to give back what they do not need; then nobody can say."""
GRACE_SECONDS: Final = 0.3
"""So much longer, once that was noticed: if all stood still, as machines do, the answers come just then."""
MOST_REPEATS: Final = 2
"""So often everybody is asked again whose answers were too old when the ledger had been asked; then nobody can say."""


@dataclass(slots=True, eq=False, init=False)
class Wish:
    """A worker's wish for units. Mutable: it is tried, and once more (`last`) after all others were asked.

    `number` is what its worker calls it. `needed` is what its requests need, `most` that and some ahead.
    All others were asked at `asked_at`, and `repeats` times because that was too long ago.
    `asked`: the recalls that this daemon's workers have not answered yet; `recalls`: other daemons', until `deadline`;
    `late_since`: when that was seen to have passed;
    `nodes`: all that were asked; `silent`: one of them did not answer. A `question` wants nothing but to know that
    everything idle is back. All are in order (`ready`) once journals were read that say what was done before.
    `tried`: it was seen whether it can be served without the ledger.
    """

    teller: Teller
    number: int
    account: Account
    limit: int
    least: int
    needed: int
    most: int
    question: bool
    ready: bool
    last: bool
    asked_at: float
    repeats: int
    asked: set[int]
    nodes: set[str]
    recalls: list[Recall]
    deadline: float | None
    late_since: float | None
    silent: bool
    tried: bool

    def __init__(
        self,
        teller: Teller,
        number: int,
        account: Account,
        limit: int,
        least: int = 0,
        needed: int = 0,
        most: int = 0,
        *,
        question: bool = False,
    ) -> None:
        self.teller = teller
        self.number = number
        self.account = account
        self.limit = limit
        self.least = least
        self.needed = needed
        self.most = most
        self.question = question
        self.ready = self.last = self.silent = self.tried = False
        self.asked_at = 0.0
        self.repeats = 0
        self.asked = set()
        self.nodes = set()
        self.recalls = []
        self.deadline = None
        self.late_since = None

    @property
    def waits(self) -> bool:
        return bool(self.asked or self.recalls or not self.ready)

    def fits(self, usable: int, spent: int, limit: int) -> bool:
        """Whether so many units are enough; one who wants none needs an account that is not overspent."""
        return not self.question and (usable >= self.least if self.least else spent <= limit)

    def granted(self, units: int, *, sound: bool) -> None:
        self.teller.gave(self.account, units, self.limit)
        self.teller.say("granted", *self.account, self.number, units, sound)

    def refused(self, used: int, spent: int) -> None:
        if self.question:
            self.teller.say("answer", self.number, None)
        else:
            self.teller.say("refused", *self.account, self.number, used, spent)

    def away(self) -> None:
        """Nobody can say."""
        if self.question:
            self.teller.say("unanswered", self.number)
        else:
            self.teller.say("away", *self.account, self.number)


class Lending:
    """Mutable: it keeps the wishes until each is granted or refused. Those for one account are served one by one."""

    def __init__(self, vault: Vault, staff: Staff, reserve: Reserve, requests: Requests, clock: Clock) -> None:
        self._vault = vault
        self._staff = staff
        self._reserve = reserve
        self._requests = requests
        self._clock = clock
        self._wishes: list[Wish] = []

    @property
    def wanted(self) -> set[Account]:
        return {wish.account for wish in self._wishes}

    @property
    def asks_other_daemons(self) -> bool:
        return any(wish.recalls for wish in self._wishes)

    @property
    def unready(self) -> list[Wish]:
        return [wish for wish in self._wishes if not wish.ready]

    @property
    def waits_for_the_ledger(self) -> bool:
        """Whether somebody is to be told what the ledger says once it knows of what was spent without a lease."""
        backlog = self._staff.backlog
        return any(backlog.beyond(wish.account) for wish in self._wishes)

    def want(self, wish: Wish) -> None:
        self._wishes.append(wish)

    def answered(self, number: int) -> None:
        """A worker gave back what it had idle."""
        for wish in self._wishes:
            wish.asked.discard(number)

    def unanswered(self, number: int) -> None:
        """A worker's connection is gone: what it had idle is not known."""
        for wish in self._wishes:
            if number in wish.asked:
                wish.asked.discard(number)
                wish.last = False

    def forget(self, teller: Teller) -> None:
        """Whose connection is gone asks again when it comes back."""
        self._wishes = [wish for wish in self._wishes if wish.teller is not teller]

    def give_up(self, otherwise: Callable[[Wish], bool]) -> None:
        """The ledger is away: what cannot be had `otherwise`, either, nobody can say."""
        wishes, self._wishes = self._wishes, []
        for wish in wishes:
            if not otherwise(wish):
                wish.away()

    async def lend(self) -> None:
        """Serve the wishes that wait for nobody, as far as the ledger says that there are units."""
        await self._look_at_recalls()
        postponed: list[Wish] = []
        try:
            while ready := self._ready({wish.account for wish in postponed}):
                postponed += await self._lease(ready)
        finally:
            self._wishes[:0] = postponed

    def _ready(self, blocked: set[Account]) -> list[Wish]:
        """The first wish of each account, taken out, unless it waits: who came later must not get what it asked for."""
        ready = []
        for wish in self._wishes:
            if wish.account not in blocked and not wish.waits and not self._unsettled(wish.account):
                ready.append(wish)
            blocked.add(wish.account)
        taken = {*ready}
        self._wishes = [wish for wish in self._wishes if wish not in taken]
        return ready

    def _unsettled(self, account: Account) -> bool:
        """Whether the ledger does not know yet of units that were spent without a lease, or another daemon gathers."""
        return bool(self._staff.backlog.beyond(account)) or self._requests.pending(account)

    async def _lease(self, ready: list[Wish]) -> list[Wish]:
        """Those that have to be tried once more in the next round."""
        try:
            grants = await self._vault.lease([self._want(wish) for wish in ready])
        except BaseException:
            self._wishes[:0] = ready
            raise
        for wish, grant in zip(ready, grants, strict=True):
            self._reserve.add(wish.account, grant.units, self._clock.monotonic())
        # Who lost its connection meanwhile asks again when it is back.
        untold = [(wish, grant) for wish, grant in zip(ready, grants, strict=True) if wish.teller.present]
        again: list[Wish] = []
        try:
            while untold:
                wish, grant = untold[0]
                if not self._granted(wish, grant) and not await self._tell(wish, grant):
                    again.append(wish)
                del untold[0]
        finally:
            self._wishes[:0] = [wish for wish, _ in untold if wish not in self._wishes]
        return again

    def _granted(self, wish: Wish, grant: Grant) -> bool:
        """Give what there is, if that is enough."""
        account = wish.account
        free = self._reserve.of(account)
        beyond = grant.spent + grant.leased - grant.limit
        usable = min(free, free - beyond)
        if not wish.fits(usable, self._spent(wish, grant), grant.limit):
            return False
        units = max(min(usable, self._most(wish)), 0)
        self._reserve.take(account, units)
        wish.granted(units, sound=beyond <= 0 and not self._requests.lately(account))
        return True

    def _spent(self, wish: Wish, grant: Grant) -> int:
        """What was drawn from leases counts as leased until it is posted, and is spent all the same."""
        return grant.spent + self._staff.backlog.drawn_by(wish.account)

    async def _tell(self, wish: Wish, grant: Grant) -> bool:
        """Say that there is not enough, or ask who might have some; False: try once more."""
        free, spent = self._reserve.of(wish.account), self._spent(wish, grant)
        if wish.silent:
            wish.away()
        elif not self._vault.certain or self._staff.misses(wish.account):
            return self._postponed_too_long(wish)
        elif not wish.last:
            await self._ask_everybody(wish, others=grant.others)
        elif grant.others and self._too_old(wish):
            await self._ask_again(wish, others=grant.others)
        elif not grant.others or not await self._ask_newcomers(wish):
            wish.refused(grant.spent + grant.leased - free, spent)
        return True

    def _want(self, wish: Wish) -> Want:
        """What the ledger has to add to what the daemon has free."""
        free = self._reserve.of(wish.account)
        return Want(wish.account, wish.limit, max(wish.least - free, 0), max(self._most(wish) - free, 0))

    def _most(self, wish: Wish) -> int:
        """Nothing ahead where another daemon asked for what is idle: it may be about to refuse somebody."""
        return wish.needed if self._requests.lately(wish.account) else wish.most

    def _postponed_too_long(self, wish: Wish) -> bool:
        """Some worker is just not there to be asked what it has idle."""
        wish.last = False
        if wish.deadline is None:
            wish.deadline = self._clock.monotonic() + RECALL_SECONDS
        elif self._is_late(wish):
            wish.away()
            return True
        return False

    def _too_old(self, wish: Wish) -> bool:
        """Whether daemons that gave back what they had may lease ahead again: they stay calm for so long only.

        It is a pause of the machine, or of the ledger, that makes an answer so old.
        """
        return self._clock.monotonic() - wish.asked_at >= CALM_SECONDS

    async def _ask_everybody(self, wish: Wish, *, others: int) -> None:
        wish.last, wish.asked_at = True, self._clock.monotonic()
        # Who asks a question may have been given something meanwhile; who wants units has nothing idle.
        wish.asked = self._staff.recall(wish.account, but=None if wish.question else wish.teller)
        wish.deadline = self._clock.monotonic() + RECALL_SECONDS
        self._wishes.insert(0, wish)
        if others:
            wish.recalls = await self._vault.recall(wish.account)
            wish.nodes = {recall.node for recall in wish.recalls}

    async def _ask_again(self, wish: Wish, *, others: int) -> None:
        if wish.repeats >= MOST_REPEATS:
            wish.away()
            return
        wish.repeats += 1
        await self._ask_everybody(wish, others=others)

    async def _ask_newcomers(self, wish: Wish) -> bool:
        """Daemons that leased some after the others had been asked, if there are any."""
        found = [recall for recall in await self._vault.recall(wish.account) if recall.node not in wish.nodes]
        if not found:
            return False
        wish.recalls, wish.nodes = found, wish.nodes | {recall.node for recall in found}
        wish.deadline = self._clock.monotonic() + RECALL_SECONDS
        self._wishes.insert(0, wish)
        return True

    async def _look_at_recalls(self) -> None:
        waiting = [recall for wish in self._wishes for recall in wish.recalls]
        left = await self._vault.unanswered(waiting) if waiting else set()
        for wish in self._wishes:
            wish.recalls = [recall for recall in wish.recalls if recall in left]
            if (wish.asked or wish.recalls) and self._is_late(wish):
                wish.asked, wish.recalls, wish.silent = set(), [], True

    def _is_late(self, wish: Wish) -> bool:
        now = self._clock.monotonic()
        if wish.deadline is None or now <= wish.deadline:
            wish.late_since = None
        elif wish.late_since is None:
            wish.late_since = now
        return wish.late_since is not None and now >= wish.late_since + GRACE_SECONDS
