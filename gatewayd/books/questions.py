"""What workers ask about the ledger, answered with all in mind that the daemon did until then."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, Final

from gatewayd.books.posting import Posting
from gatewayd.books.staff import Staff
from gatewayd.books.teller import Teller
from gatewayd.books.vault import Vault
from gatewayd.clock import Clock
from gatewayd.model import Balance, DirectoryPage

BALANCE: Final = attrgetter("user_id", "unit", "period", "limit", "held", "spent")
DIRECTORY_SECONDS: Final = 0.25
"""All workers share what was read so long ago at most."""
MOST_DECISIONS: Final = 5_000
"""In one answer: some milliseconds of everybody's time who has a part in it."""


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    teller: Teller
    number: int
    words: Sequence[Any]


class Questions:
    """Mutable: questions wait for the next round; every worker awaits its own, so there are few."""

    def __init__(self, vault: Vault, staff: Staff, posting: Posting, clock: Clock) -> None:
        self._vault = vault
        self._staff = staff
        self._posting = posting
        self._clock = clock
        self._waiting: list[Question] = []
        self._asked = 0  # after which version the last page was asked for
        self._page: DirectoryPage | None = None
        self._read_at = -DIRECTORY_SECONDS

    def ask(self, question: Question) -> None:
        self._waiting.append(question)

    def give_up(self) -> None:
        """The ledger is away; what an answer may leave out of it is still told."""
        waiting, self._waiting = self._waiting, []
        for question in waiting:
            question.teller.say("unanswered", question.number)

    async def answer_all(self) -> None:
        while self._waiting:
            question = self._waiting[0]
            answer = await self._answer(question.words)
            if question in self._waiting:
                self._waiting.remove(question)
                question.teller.say("answer", question.number, answer)

    async def _answer(self, words: Sequence[Any]) -> Any:
        match words:
            case ["ship"]:
                await self._posting.post_everything()
            case ["balances", user, period]:
                await self._posting.post_everything()
                return await self._balances(user, period)
            case ["decisions", since]:
                page = await self._decided(since)
                return [page.since, page.version, page.plans, [list(each) for each in page.revocations], page.more]
            case ["directory", unless]:
                return await self._whole_directory(unless)
        return None

    async def _balances(self, user: str, period: str) -> list[list[Any]]:
        known = await self._vault.balances_elsewhere(user, period)
        by_unit = {balance.unit: balance for balance in known}
        for account, units in self._staff.in_flight.items():
            if (account.user_id, account.period) == (user, period):
                balance = by_unit.get(account.unit) or Balance(*account, 0, 0, 0)
                by_unit[account.unit] = replace(balance, held=balance.held + units)
        return [list(BALANCE(by_unit[unit])) for unit in sorted(by_unit)]

    async def _decided(self, since: int) -> DirectoryPage:
        late = self._clock.monotonic() - self._read_at >= DIRECTORY_SECONDS
        if (page := self._page) is None or late or since != self._asked:
            page = self._page = await self._vault.directory(since, MOST_DECISIONS)
            self._asked, self._read_at = since, self._clock.monotonic()
        return page

    async def _whole_directory(self, unless: int | None) -> list[Any] | None:
        """As a worker asks that was made before the daemon was upgraded to this gatewayd."""
        page = await self._decided(unless or 0)
        if page.version == unless:
            return None
        plans: dict[str, str] = {}
        revocations: dict[tuple[str, str], float] = {}
        since, more = 0, True
        while more:
            page = await self._vault.directory(since, MOST_DECISIONS)
            plans |= page.plans
            revocations |= {(kind, subject): until for kind, subject, until in page.revocations}
            since, more = page.version, page.more
        return [since, plans, [[*which, until] for which, until in revocations.items()]]
