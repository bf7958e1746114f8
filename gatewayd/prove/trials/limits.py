"""Everybody calls at once until a rate is used up: no more are let through than its burst, and in calm no fewer."""

import asyncio
import random
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from gatewayd.prove.books import close_books
from gatewayd.prove.caller import Answer, Caller
from gatewayd.prove.conditions import Conditions, Outage
from gatewayd.prove.configuration import Bought, Price
from gatewayd.prove.daemon import a_worker
from gatewayd.prove.findings import Check, Finding, Findings
from gatewayd.prove.load import BREATH_SECONDS
from gatewayd.prove.stage import Stage, stage

LIMITS: Final = Check(
    "limits",
    "however many call at once, and whatever dies, a rate lets no more through than its burst; in calm, all of it",
    wrongs=("over the limit", "short of the limit", "other answers"),
    needs=("limits", "admitted", "refusals"),
)
NAME: Final = "limits"
ROUNDS: Final = 8
CALLERS: Final = 60
HIGHEST: Final = 100
_LONGEST_PEACE: Final = 0.05
_LONGEST_OUTAGE: Final = 1.0
_RETURN_SECONDS: Final = 1.0
_WARM_SECONDS: Final = 1.5
_TARGET: Final = Price(1).target()


async def run(conditions: Conditions, findings: Findings) -> None:
    """A round is a new user; in every other one something is killed."""
    chance, finding = conditions.chance(NAME), findings["limits"]
    limits = [chance.randint(1, HIGHEST) for _ in range(conditions.rounds_of(ROUNDS))]
    calm, troubled = limits[::2], limits[1::2]
    async with _limited(conditions, limits, findings) as place:
        for limit in calm:
            await Crowd(place, limit).call(finding)
        for limit in troubled if conditions.counters_away is None else ():
            await Crowd(place, limit).call(finding, _kill_a_worker(place, chance))
    if (away := conditions.counters_away) is not None:
        for limit in troubled:  # daemons that lost their counters once trust nobody for as long as a bucket refills
            async with _limited(conditions, (limit,), findings) as place:
                await Crowd(place, limit).warm()
                await Crowd(place, limit).call(finding, _take_away(away, chance))


@asynccontextmanager
async def _limited(conditions: Conditions, limits: Sequence[int], findings: Findings) -> AsyncIterator[Stage]:
    plans = [_bought(limit) for limit in limits]
    async with stage(conditions, NAME, plans, workers=max(conditions.workers)) as place:
        yield place
        await close_books(place, findings["drift"])


def _bought(limit: int) -> Bought:
    """A limit a day, so that nothing of it comes back meanwhile."""
    return Bought(rate=f"{limit}/day")


async def _kill_a_worker(place: Stage, chance: random.Random) -> None:
    await asyncio.sleep(chance.random() * _LONGEST_PEACE)
    daemon = chance.choice(place.daemons)
    await daemon.kill_children(lambda names: a_worker(names, chance))
    await daemon.until_whole()


async def _take_away(away: Outage, chance: random.Random) -> None:
    await asyncio.sleep(chance.random() * _LONGEST_PEACE)
    async with away():
        await asyncio.sleep(chance.random() * _LONGEST_OUTAGE)
    await asyncio.sleep(_RETURN_SECONDS)


class Crowd:
    """Many callers of one new user, each until it is refused. Mutable: answers gather."""

    def __init__(self, place: Stage, limit: int) -> None:
        self._place = place
        self._limit = limit
        self._user = place.user(_bought(limit))
        self._answers: list[Answer] = []
        self._admitted = 0
        self._troubled = False

    async def warm(self) -> None:
        """Let every worker meet the counters, and hear how many daemons there are."""
        await self._call_all()
        await asyncio.sleep(_WARM_SECONDS)

    async def call(self, finding: Finding, trouble: Coroutine[Any, Any, None] | None = None) -> None:
        """`trouble` happens meanwhile, and they call until it is over, refused or not."""
        if trouble is None:
            await self._call_all()
        else:
            self._troubled = True
            await asyncio.gather(self._call_all(), self._wait_for(trouble))
        self._judge(finding, troubled=trouble is not None)

    async def _wait_for(self, trouble: Coroutine[Any, Any, None]) -> None:
        await trouble
        self._troubled = False

    async def _call_all(self) -> None:
        await asyncio.gather(*(self._call_until_refused(self._place.caller()) for _ in range(CALLERS)))

    async def _call_until_refused(self, caller: Caller) -> None:
        """A gateway that refuses nobody is not called for ever."""
        status = 0
        try:
            while (status != 429 or self._troubled) and self._admitted <= 2 * self._limit:
                answer = await caller.call(_TARGET, self._user.token)
                self._answers.append(answer)
                status = answer.status
                self._admitted += status == 200
                if self._troubled:
                    await asyncio.sleep(BREATH_SECONDS)
        finally:
            caller.leave()

    def _judge(self, finding: Finding, *, troubled: bool) -> None:
        """By what reached the agent. Who dies may take with it what it had let through."""
        name, limit, visits = self._user.name, self._limit, len(self._place.agent.visits_of(self._user.name))
        finding.count("limits")
        finding.count("admitted", visits)
        finding.wrong("over the limit", f"{name}: {visits} of {limit}", max(0, visits - limit))
        if not troubled:
            finding.wrong("short of the limit", f"{name}: {visits} of {limit}", max(0, limit - visits))
        for answer in self._answers:
            finding.count("refusals", answer.status == 429)
            if answer.status not in (200, 429) and (answer.whole or not troubled):
                finding.wrong("other answers", f"{name}: {answer.told}")
