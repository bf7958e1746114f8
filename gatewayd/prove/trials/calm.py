"""What an operator does at noon: reloads, stops, and a worker that dies, with calls and streams all the time."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from gatewayd.prove.agent import Visit
from gatewayd.prove.books import close_books
from gatewayd.prove.caller import Answer, Caller
from gatewayd.prove.conditions import Conditions
from gatewayd.prove.configuration import Bought, Price
from gatewayd.prove.daemon import Daemon, a_worker
from gatewayd.prove.findings import Check, Finding, Findings
from gatewayd.prove.load import any_call, load
from gatewayd.prove.stage import Stage, User, stage

RELOAD: Final = Check(
    "reload",
    "no call fails and no stream breaks over reloads that change routes, workers and limits, and no count steps back",
    wrongs=("failed calls", "broken streams", "refused reloads", "steps back"),
    needs=("reloads", "calls", "streams"),
)
DRAIN: Final = Check(
    "drain",
    "a daemon that is told to stop answers what it has begun, refuses what comes with 503, and ends with exit code 0",
    wrongs=("cut off", "refused without a word"),
    needs=("stops", "answered"),
)
DEATH: Final = Check(
    "worker-death",
    "a worker that is killed takes its own streams along and nobody else's",
    wrongs=("broken elsewhere", "kept by the dead"),
    needs=("deaths", "streams"),
)
NAME: Final = "calm"
ROUNDS: Final = 10
STREAMS: Final = 12
CALLERS: Final = 4
_WORKERS: Final = (1, 2, 3)
_ROUTE: Final = '[routes.passing]\nprefix = "/passing"\nupstream = "http://127.0.0.1:9"\n'
_PATIENCE: Final = 10.0
_SLOW: Final = 0.3
_PAUSE: Final = 0.05


async def run(conditions: Conditions, findings: Findings) -> None:
    """A round is a reload; after all of them a worker dies, and the daemon is told to stop under load."""
    chance = conditions.chance(NAME)
    async with stage(conditions, NAME, (Bought(),), workers=max(conditions.workers)) as place:
        user = place.user(Bought())
        streams = await _open_streams(place, user)
        async with load([(place.caller(), lambda: (user, any_call(chance))) for _ in range(CALLERS)]) as calling:
            for daemon in place.daemons:
                await _reload(daemon, conditions.rounds_of(ROUNDS), chance, findings["reload"])
        _judge_streams(streams, findings["reload"])
        _judge_calls([call.answer for call in calling.calls], findings["reload"])
        await _kill_a_worker(place, streams, chance, findings["worker-death"])
        for caller, _ in streams:
            caller.leave()
        for daemon in place.daemons:
            await _stop(place, daemon, user, findings["drain"])
        await close_books(place, findings["drift"])


async def _open_streams(place: Stage, user: User) -> list[tuple[Caller, Visit]]:
    """Answers that never end, each on a connection of its own."""
    found = []
    for _ in range(STREAMS * len(place.daemons)):
        caller, known = place.caller(), len(place.agent.visits)
        await caller.begin(Price(1).target(end="endless"), user.token, head=True)
        found.append((caller, place.agent.visits[known]))
    return found


async def _reload(daemon: Daemon, rounds: int, chance: random.Random, finding: Finding) -> None:
    plain, counted = daemon.config.read_text(), 0.0
    for number in range(rounds):
        text = plain.replace('drain_timeout = "5s"', f'drain_timeout = "{5 + number % 2}s"')
        lines = [
            f"workers = {chance.choice(_WORKERS)}" if line.startswith("workers =") else line
            for line in text.splitlines()
        ]
        daemon.config.write_text("\n".join(lines) + "\n" + (_ROUTE if chance.random() < 0.5 else ""))
        answer = await daemon.reload()
        finding.count("reloads")
        finding.took("reload", float(answer.get("seconds", 0)))
        if (why := answer.get("refused")) is not None:
            finding.wrong("refused reloads", str(why))
        before, counted = counted, await daemon.requests()
        if counted < before:
            finding.wrong("steps back", f"{before:g} requests, then {counted:g}")
        await asyncio.sleep(chance.random() * _PAUSE)


def _judge_calls(answers: Sequence[Answer], finding: Finding) -> None:
    finding.count("calls", len(answers))
    for answer in answers:
        if answer.status != 200 or not answer.whole:
            finding.wrong("failed calls", answer.told)


def _judge_streams(streams: Sequence[tuple[Caller, Visit]], finding: Finding) -> None:
    finding.count("streams", len(streams))
    for _, visit in streams:
        if visit.left is not None:
            finding.wrong("broken streams", visit.id)


async def _kill_a_worker(
    place: Stage, streams: Sequence[tuple[Caller, Visit]], chance: random.Random, finding: Finding
) -> None:
    daemon = place.daemons[0]
    open_before = [visit for _, visit in streams if visit.left is None]
    status = await daemon.status()
    victims = a_worker([each["name"] for each in status["workers"] if each["state"] == "serving"], chance)
    its_own = sum(
        each["in_flight"] for each in status["workers"] if (each["name"], each["state"]) == (*victims, "serving")
    )
    await daemon.kill_children(lambda _names: victims)
    with suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            await place.agent.until(lambda: sum(visit.left is not None for visit in open_before) >= its_own)
    await daemon.until_whole()
    broken = sum(visit.left is not None for visit in open_before)
    finding.count("deaths", len(victims))
    finding.count("streams", len(open_before))
    finding.wrong("broken elsewhere", f"{broken} streams broke, the worker had {its_own}", max(0, broken - its_own))
    finding.wrong("kept by the dead", f"{broken} streams broke, the worker had {its_own}", max(0, its_own - broken))


async def _stop(place: Stage, daemon: Daemon, user: User, finding: Finding) -> None:
    """While calls are with the agent, and others come."""
    callers = [Caller(daemon) for _ in range(STREAMS)]
    known = len(place.agent.visits)
    calls = [asyncio.ensure_future(each.call(Price(1).target(after=_SLOW), user.token)) for each in callers]
    async with asyncio.timeout(_PATIENCE):
        await place.agent.until(lambda: len(place.agent.visits) >= known + STREAMS)
    stopping = asyncio.ensure_future(daemon.stop())
    await daemon.until(lambda status: status.get("state") in (None, "draining"))
    late = await Caller(daemon).call(Price(1).target(), user.token)
    answers: list[Any] = await asyncio.gather(*calls)
    await stopping
    finding.count("stops")
    for answer in answers:
        finding.count("answered", int(answer.status == 200 and answer.whole))
        if answer.status != 200 or not answer.whole:
            finding.wrong("cut off", answer.told)
    if late.status not in (503, 0):
        finding.wrong("refused without a word", late.told)
    for each in callers:
        each.leave()
