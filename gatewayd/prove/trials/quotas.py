"""Everybody calls at once until nothing is left of a quota: exactly what fits is admitted."""

import asyncio
import random
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gatewayd.prove.books import close_books
from gatewayd.prove.caller import Answer, Caller
from gatewayd.prove.conditions import Conditions
from gatewayd.prove.configuration import HIGHEST_COST, Bought, Price
from gatewayd.prove.findings import Check, Finding, Findings
from gatewayd.prove.stage import Stage, User, stage

OVERSPEND: Final = Check(
    "overspend",
    "parallel callers of one quota are never charged more than it, whatever they share it over",
    wrongs=("overspent",),
    needs=("quotas", "admitted"),
)
FALSE_REFUSALS: Final = Check(
    "false-refusals",
    "nobody is told 402 while what was asked for fitted, nor anything else but 200",
    wrongs=("refused in error", "other answers"),
    needs=("refusals",),
)
NAME: Final = "quotas"
ROUNDS: Final = 45
CALLERS: Final = 200
HIGHEST_QUOTA: Final = 300
SMALL_QUOTA: Final = 40
_ALONE: Final = 0.25
_STATING: Final = 0.3
_PAUSING: Final = 0.3
_LONGEST_PAUSE: Final = 0.005


@dataclass(frozen=True, slots=True)
class Round:
    """A quota and what a call of it costs; with `stated`, the agent says so, and no more than was held.

    The first `alone` calls come one after the other, all of them if the quota is small: of each it is known whether it
    fits, while other workers have idle what is left.
    """

    quota: int
    price: Price
    stated: int | None = None
    pause: float = 0.0
    alone: int = 0

    @classmethod
    def drawn(cls, chance: random.Random) -> "Round":
        price, stated = Price(chance.randint(1, HIGHEST_COST)), None
        if chance.random() < _STATING:
            price = Price(price.cost, chance.randint(price.cost, HIGHEST_COST))
            stated = chance.randint(1, price.held)
        if chance.random() < _ALONE:
            return cls(chance.randint(1, SMALL_QUOTA), price, stated, alone=SMALL_QUOTA + 1)
        pause = chance.random() * _LONGEST_PAUSE if chance.random() < _PAUSING else 0.0
        return cls(chance.randint(1, HIGHEST_QUOTA), price, stated, pause, alone=chance.choice((0, 10)))

    @property
    def charged(self) -> int:
        return self.price.cost if self.stated is None else self.stated

    @property
    def most(self) -> int:
        """Calls that can be admitted."""
        return self.quota // self.charged

    @property
    def target(self) -> str:
        query: dict[str, object] = {} if self.stated is None else {"quantity": self.stated}
        return self.price.target(**query, **({"after": f"{self.pause:.4f}"} if self.pause else {}))


async def run(conditions: Conditions, findings: Findings) -> None:
    """So many rounds in all, over the numbers of workers that are to be tried."""
    chance = conditions.chance(NAME)
    rounds = [Round.drawn(chance) for _ in range(conditions.rounds_of(ROUNDS))]
    for number, workers in enumerate(conditions.workers):
        if share := rounds[number :: len(conditions.workers)]:
            async with stage(conditions, NAME, [Bought(each.quota) for each in share], workers=workers) as place:
                await _play(place, share, findings)
                await close_books(place, findings["drift"])


async def _play(place: Stage, rounds: Sequence[Round], findings: Findings) -> None:
    callers = [place.caller() for _ in range(CALLERS)]
    try:
        for each in rounds:
            crowd = Crowd(callers, place.user(Bought(each.quota)), each)
            await crowd.call()
            judge_spending(place, crowd, findings["overspend"])
            judge_refusals(crowd, findings["false-refusals"])
    finally:
        for caller in callers:
            caller.leave()


class Crowd:
    """Many callers of one user in one round. Mutable: answers gather."""

    def __init__(self, callers: Sequence[Caller], user: User, played: Round) -> None:
        self._callers = callers
        self.user = user
        self.round = played
        self.answers: list[Answer] = []
        self._admitted = 0

    async def call(self) -> None:
        for caller in self._callers[: self.round.alone]:
            if not await self._call_once(caller):
                break
        await asyncio.gather(*(self._call_until_refused(caller) for caller in self._callers))

    async def _call_until_refused(self, caller: Caller) -> None:
        """A gateway that refuses nobody is not called for ever: what is over is found out by then."""
        while await self._call_once(caller) and self._admitted <= 2 * self.round.most + len(self._callers):
            pass

    async def _call_once(self, caller: Caller) -> bool:
        answer = await caller.call(self.round.target, self.user.token)
        self.answers.append(answer.brief)
        self._admitted += answer.status == 200
        return answer.status == 200


def judge_spending(place: Stage, crowd: Crowd, finding: Finding) -> None:
    """By what reached the agent: it knows best what was done for the user."""
    visits, played = len(place.agent.visits_of(crowd.user.name)), crowd.round
    place.agent.visits.clear()
    over = max(0, visits * played.charged - played.quota)
    finding.count("quotas")
    finding.count("admitted", visits)
    finding.wrong("overspent", f"{crowd.user.name}: {visits} calls at {played.charged} of {played.quota} units", over)


def judge_refusals(crowd: Crowd, finding: Finding) -> None:
    """A refusal is in error if the units fitted all the time, from its call until its answer."""
    played, name = crowd.round, crowd.user.name
    used = Used(played, [answer for answer in crowd.answers if answer.status == 200])
    for answer in crowd.answers:
        if answer.status == 402:
            finding.count("refusals")
            if (most := used.at_most(answer)) + played.price.held <= played.quota:
                fault = f"{name}: {played.price.held} units, with at most {most} of {played.quota} used"
                finding.wrong("refused in error", fault)
        elif answer.status != 200:
            finding.wrong("other answers", f"{name}: {answer.told}")


class Used:
    """What calls that were admitted had used of a quota, by what their callers saw of them."""

    def __init__(self, played: Round, admitted: Sequence[Answer]) -> None:
        self._held, self._charged = played.price.held, played.charged
        self._sent = sorted(answer.sent for answer in admitted)
        self._ended = sorted(answer.ended for answer in admitted)

    def at_most(self, refused: Answer) -> int:
        """At any moment of this call: one that had begun by its end held its units, unless it was over before it."""
        begun = bisect_left(self._sent, refused.ended)
        over = bisect_right(self._ended, refused.sent)
        return begun * self._held - over * (self._held - self._charged)
