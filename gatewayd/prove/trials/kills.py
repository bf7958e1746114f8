"""Processes of the gateway are killed at any moment under load; no record is lost or doubled by it."""

import asyncio
import itertools
import random
from collections.abc import Sequence
from math import inf
from time import monotonic
from typing import Final

from gatewayd.prove.books import Books, close_books, read_books
from gatewayd.prove.conditions import Conditions
from gatewayd.prove.configuration import Bought
from gatewayd.prove.daemon import a_worker
from gatewayd.prove.findings import Check, Finding, Findings
from gatewayd.prove.load import Call, Choice, any_call, load
from gatewayd.prove.records import RECORD_WRONGS, judge_records
from gatewayd.prove.stage import Stage, User, stage
from gatewayd.prove.wounds import Wound, judge_errors

RECORDS: Final = Check(
    "records",
    "whatever is killed, each request that reached an agent has one record, and callers see no error without need",
    wrongs=(*RECORD_WRONGS, "late", "unforced errors"),
    needs=("requests", "kills"),
)
NAME: Final = "kills"
ROUNDS: Final = 20
CALLERS: Final = 16
VICTIMS: Final = ("worker", "bookkeeper", "children", "daemon")
LATEST: Final = 2.0
"""Seconds after which a record is in the table (contract, section 7)."""
_LIMITED: Final = Bought(quota=10**9)
_TIGHT: Final = Bought(quota=500)
_LONGEST_PEACE: Final = 0.3
_DOUBLING: Final = 0.25
_CALLS_EACH: Final = 400
_LOOK_SECONDS: Final = 0.05


async def run(conditions: Conditions, findings: Findings) -> None:
    """A round is a kill."""
    plans = (Bought(), _LIMITED, _TIGHT)
    async with stage(conditions, NAME, plans, workers=max(conditions.workers)) as place:
        habits = _habits(place, conditions.chance(f"{NAME} load"))
        async with load([(place.caller(), habits) for _ in range(CALLERS)]) as calling:
            killer = Killer(place, conditions.chance(NAME))
            await killer.kill(conditions.rounds_of(ROUNDS))
        await _judge_lateness(place, findings)
        books = await close_books(place, findings["drift"])
    findings["records"].count("kills", len(killer.wounds))
    for wound in killer.wounds:
        findings["records"].took(f"{wound.victim} back after", wound.healed - wound.began)
    judge_errors(calling.calls, killer.wounds, books.charges, findings["records"], ends=_TIGHT)
    judge_records(place.agent.visits, [call.answer for call in calling.calls], books, findings["records"])
    _judge_spending(calling.calls, books, findings["overspend"])


def _habits(place: Stage, chance: random.Random) -> Choice:
    """Somebody without a limit, somebody far from theirs, and one after the other who come to the end of it."""
    users = [place.user(Bought()), place.user(_LIMITED), place.user(_TIGHT)]
    calls = itertools.count(1)

    def choose() -> tuple[User, str]:
        if next(calls) % _CALLS_EACH == 0:
            users[-1] = place.user(_TIGHT)
        return chance.choice(users), any_call(chance)

    return choose


class Killer:
    """Mutable: wounds gather."""

    def __init__(self, place: Stage, chance: random.Random) -> None:
        self._place = place
        self._chance = chance
        self.wounds: list[Wound] = []

    async def kill(self, times: int) -> None:
        """Raises DaemonFailed if a daemon does not recover."""
        for _ in range(times):
            await asyncio.sleep(self._chance.random() * _LONGEST_PEACE)
            wound = Wound(self._chance.choice(self._place.daemons), self._chance.choice(VICTIMS), monotonic())
            self.wounds.append(wound)
            await self._strike(wound)
            if self._chance.random() >= _DOUBLING:
                await self._see_healed()
        await self._see_healed()

    async def _strike(self, wound: Wound) -> None:
        """A daemon that is killed as a whole is started again on the same state."""
        daemon = wound.daemon
        if wound.victim != "daemon":
            await daemon.kill_children(lambda names: self._victims(wound.victim, names))
            return
        await daemon.kill()
        await daemon.start()

    def _victims(self, victim: str, names: Sequence[str]) -> Sequence[str]:
        if victim == "worker":
            return a_worker(names, self._chance)
        return [name for name in names if victim in (name, "children")]

    async def _see_healed(self) -> None:
        open_wounds = [wound for wound in self.wounds if wound.healed == inf]
        for daemon in {wound.daemon for wound in open_wounds}:
            await daemon.until_whole()
        for wound in open_wounds:
            wound.healed = monotonic()


async def _judge_lateness(place: Stage, findings: Findings) -> None:
    """Nothing is under way any more: all of it must be in the table soon. A look counts by when it began, and a pause
    of ours not at all.
    """
    since, finding = monotonic(), findings["records"]
    expected = {visit.id for visit in place.agent.visits}
    while True:
        waited = place.pauses.awake(since, monotonic())
        late = expected - (await read_books(place, findings["drift"])).records.keys()
        if not late:
            finding.took("all in the table after", waited)
            return
        if waited > LATEST:
            finding.wrong("late", f"{min(late)} and others have no record after {LATEST:g} s", len(late))
            return
        await asyncio.sleep(_LOOK_SECONDS)


def _judge_spending(calls: Sequence[Call], books: Books, finding: Finding) -> None:
    tight = {call.user.name for call in calls if call.user.bought == _TIGHT}
    finding.count("admitted", sum(rows[0].user_id in tight for rows in books.records.values()))
    for name, spent in books.spending.items():
        if name in tight:
            finding.count("quotas")
            finding.wrong("overspent", f"{name}: {spent} of {_TIGHT.quota} units", max(0, spent - _TIGHT.quota))
