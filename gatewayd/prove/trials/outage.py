"""The ledger goes away under load and comes back: who can be served is, nobody is told a lie, and nothing is lost."""

import asyncio
import random
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Final

from gatewayd.prove.books import close_books
from gatewayd.prove.caller import Answer
from gatewayd.prove.conditions import Conditions
from gatewayd.prove.configuration import Bought
from gatewayd.prove.findings import Check, Finding, Findings
from gatewayd.prove.load import Call, Choice, Load, any_call, load
from gatewayd.prove.outages import Reach, reach
from gatewayd.prove.records import RECORD_WRONGS, judge_records
from gatewayd.prove.stage import Stage, User, stage

OUTAGE: Final = Check(
    "outage",
    "while the ledger is away callers without a limit and with a lease are served, others get 503 and never 402",
    wrongs=(*RECORD_WRONGS, "not served", "told 402", "served on credit", "other answers"),
    needs=("outages", "requests", "served without a limit", "served from leases", "told 503"),
)
NAME: Final = "outage"
ROUNDS: Final = 1
CALLERS: Final = 3
"""Of each kind."""
AMPLE: Final = Bought(quota=10**9)
_UNLIMITED: Final = Bought()
_CALM_SECONDS: Final = 0.5
_PATIENCE: Final = 20.0
_LOOK_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True)
class Suffered:
    """An outage: it begins to, it began, it ended, and all daemons were whole again."""

    begins: float
    began: float
    ended: float
    healed: float

    def holds(self, answer: Answer) -> bool:
        """Whether the ledger was away all the time of this call."""
        return self.began <= answer.sent and answer.ended <= self.ended

    def touches(self, answer: Answer) -> bool:
        """Whether it may have been away for some of it."""
        return self.begins <= answer.ended and answer.sent <= self.healed


async def run(conditions: Conditions, findings: Findings) -> None:
    """A round is an outage."""
    chance, workers, rounds = conditions.chance(NAME), max(conditions.workers), conditions.rounds_of(ROUNDS)
    async with (
        reach(conditions, conditions.folder) as ledger,
        stage(conditions, NAME, (_UNLIMITED, AMPLE), workers=workers, ledger=ledger.ledger) as place,
    ):
        kinds = Kinds(place, chance)
        async with load(kinds.callers) as calling:
            outages = [await _suffer(place, ledger, conditions.outage_seconds, kinds, calling) for _ in range(rounds)]
        books = await close_books(place, findings["drift"])
    finding = findings["outage"]
    finding.count("outages", len(outages))
    for each in outages:
        finding.took("back after", each.healed - each.ended)
    judge_answers(calling.calls, outages, kinds, finding)
    judge_records(place.agent.visits, [call.answer for call in calling.calls], books, finding)


async def _suffer(place: Stage, ledger: Reach, seconds: float, kinds: "Kinds", calling: Load) -> Suffered:
    """It lasts for so many seconds, and until callers of every kind were answered in it."""
    await asyncio.sleep(_CALM_SECONDS)
    begins = monotonic()
    async with ledger.away():
        began = monotonic()
        await asyncio.sleep(seconds)
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                while not kinds.all_answered(calling.calls, began):  # noqa: ASYNC110  # callers have no events for us
                    await asyncio.sleep(_LOOK_SECONDS)
        ended = monotonic()
    for daemon in place.daemons:
        await daemon.until_whole()
    healed = monotonic()
    await asyncio.sleep(_CALM_SECONDS)
    return Suffered(begins, began, ended, healed)


class Kinds:
    """Who calls: people without a limit, people who call all the time and so have leases, and a stranger every time."""

    def __init__(self, place: Stage, chance: random.Random) -> None:
        self._place = place
        self._chance = chance
        self.strangers: set[str] = set()
        everyone = [self._always(bought) for bought in (_UNLIMITED, AMPLE) for _ in range(CALLERS)]
        everyone += [self._stranger] * CALLERS
        self.callers = [(place.caller(), choose) for choose in everyone]

    def all_answered(self, calls: Sequence[Call], since: float) -> bool:
        """Whether somebody without a limit, somebody with a lease, and a stranger were, each in a call begun since."""
        answered = [call for call in calls if call.answer.sent >= since]
        strangers = any(call.user.name in self.strangers and call.answer.status for call in answered)
        served = {call.user.bought for call in answered if call.answer.status == 200}
        return strangers and {_UNLIMITED, AMPLE} <= served

    def _always(self, bought: Bought) -> Choice:
        user = self._place.user(bought)
        return lambda: (user, any_call(self._chance))

    def _stranger(self) -> tuple[User, str]:
        user = self._place.user(AMPLE)
        self.strangers.add(user.name)
        return user, any_call(self._chance)


def judge_answers(calls: Iterable[Call], outages: Sequence[Suffered], kinds: Kinds, finding: Finding) -> None:
    """By when it was: in the outage, at its edges where both is right, or in calm."""
    for call in calls:
        inside = any(outage.holds(call.answer) for outage in outages)
        calm = not any(outage.touches(call.answer) for outage in outages)
        if call.answer.status == 402:
            finding.wrong("told 402", f"{call.user.name}: {call.answer.told}")
        elif call.user.bought == _UNLIMITED or calm:
            _expect_served(call, inside, finding)
        elif call.answer.status == 200:
            _judge_served(call, inside, kinds, finding)
        elif call.answer.status == 503:
            finding.count("told 503", inside)
        else:
            finding.wrong("other answers", f"{call.user.name}: {call.answer.told}")


def _expect_served(call: Call, inside: bool, finding: Finding) -> None:
    if call.answer.status != 200 or not call.answer.whole:
        finding.wrong("not served", f"{call.user.name}, {'in the outage' if inside else 'in calm'}: {call.answer.told}")
    else:
        finding.count("served without a limit", inside)


def _judge_served(call: Call, inside: bool, kinds: Kinds, finding: Finding) -> None:
    if call.user.name in kinds.strangers:
        finding.wrong("served on credit", f"{call.user.name} has no lease: {call.answer.told}", inside)
    else:
        finding.count("served from leases", inside)
