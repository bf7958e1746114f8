"""Scenes that fork, each played in a process of its own: `python -m tests.process.forks <scene>` prints what it saw."""

import asyncio
import json
import logging
import operator
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gatewayd.clock import SystemClock
from gatewayd.errors import StartError
from gatewayd.process.child import Link, Work, fork
from gatewayd.process.crew import Crew
from gatewayd.process.hired import Child, Job
from gatewayd.process.pulse import Pulse
from gatewayd.process.reactor import Reactor
from gatewayd.process.tenancy import KEEP, SHARE, Tenancy
from tests.clocks import ManualClock
from tests.patience import PATIENCE


def played(scene: Callable[[], object]) -> Any:
    """What a scene of this module saw."""
    command = [sys.executable, "-m", "tests.process.forks", scene.__name__]
    found = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


async def obedient(link: Link) -> None:
    async def pid() -> Mapping[str, Any]:
        return {"pid": os.getpid()}

    async def broken() -> Mapping[str, Any]:
        raise ValueError("on purpose")

    link.answers |= {"pid": pid, "broken": broken}
    link.ready()
    await link.draining.wait()
    link.idle()
    await link.ending.wait()


async def failing(link: Link) -> None:
    del link
    raise StartError("no room for it")


async def ready_and_dead(link: Link) -> None:
    link.ready()
    await asyncio.get_running_loop().run_in_executor(None, os._exit, 3)


async def answering_once(link: Link) -> None:
    """Answers the first question and never another."""
    asked: list[int] = []

    async def count() -> Mapping[str, Any]:
        asked.append(1)
        if len(asked) > 1:
            await asyncio.Event().wait()
        return {"count": len(asked)}

    link.answers["count"] = count
    link.ready()
    await link.ending.wait()


async def tenant(link: Link) -> None:
    """Says whether it keeps what it is told to keep and to share."""
    kept = [False]

    async def share(_words: object, _files: Sequence[int]) -> Mapping[str, Any]:
        kept[0] = False
        return {"shared": True}

    async def whether() -> Mapping[str, Any]:
        return {"kept": kept[0]}

    link.calls[KEEP] = lambda: operator.setitem(kept, 0, True)
    link.orders[SHARE] = share
    link.answers["kept"] = whether
    link.ready()
    await link.ending.wait()


class Line:
    """The supervisor's end of a child's line, by hand."""

    def __init__(self, work: Work) -> None:
        self.pid, self.sock = fork(work, asyncio.run, lambda: None)
        self.sock.settimeout(PATIENCE)
        self.file = self.sock.makefile("rwb")

    def say(self, message: object) -> None:
        self.file.write(json.dumps(message).encode() + b"\n")
        self.file.flush()

    def heard(self) -> Any:
        return json.loads(self.file.readline())

    def hang_up(self) -> None:
        self.sock.shutdown(socket.SHUT_RDWR)

    def code(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def abandoned() -> object:
    line = Line(obedient)
    said = line.heard()
    line.hang_up()
    return said, line.code()


def failed() -> object:
    line = Line(failing)
    return line.heard(), line.code()


def told_to_drain_and_end() -> object:
    line = Line(obedient)
    said = [line.heard()]
    line.say({"tell": "drain"})
    said.append(line.heard())
    line.say({"tell": "end"})
    return said, line.code()


def told_to_end_only() -> object:
    line = Line(obedient)
    said = [line.heard()]
    line.say({"tell": "end"})
    return [*said, line.heard()], line.code()


def asked() -> object:
    line = Line(obedient)
    line.heard()
    os.kill(line.pid, signal.SIGTERM)  # not the child's to obey
    answers = []
    for number, name in enumerate(("pid", "broken", "unheard of"), 1):
        line.say({"ask": name, "id": number})
        answers.append(line.heard())
    line.say({"tell": "end"})
    line.heard()
    return line.pid, answers, line.code()


class Bridge:
    """A crew, time that passes while its child is dead, and what is said of it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.buried: list[Child] = []
        self.reactor = Reactor(self.clock)
        self.crew = Crew(self.reactor, self.clock, asyncio.run, self.buried.append)

    def deaths(self, child: Child, count: int) -> None:
        def done() -> bool:
            if not child.alive:
                self.clock.advance(5)  # no pause is longer
            return len(self.buried) >= count

        self.reactor.until(done)

    def end(self, child: Child) -> None:
        self.crew.tell([child], "end")
        self.reactor.until(lambda: not child.alive)


def dying_again_and_again() -> object:
    bridge = Bridge()
    child = bridge.crew.hire("worker", Job(ready_and_dead))
    pauses = []
    for count in range(1, 6):
        bridge.deaths(child, count)
        pauses.append(child.pause)
    return pauses, child.restarts, child.failure


def dying_after_a_steady_life() -> object:
    bridge = Bridge()
    child = bridge.crew.hire("worker", Job(obedient))
    pids, pauses = [], []
    for count in range(1, 4):
        bridge.reactor.until(lambda: child.ready)
        pids.append(child.pid)
        bridge.clock.advance(10)
        os.kill(child.pid, signal.SIGKILL)
        bridge.deaths(child, count)
        pauses.append(child.pause)
    bridge.clock.advance(5)
    bridge.reactor.until(lambda: child.ready)
    pids.append(child.pid)
    bridge.end(child)
    return len(set(pids)), pauses, child.describe()["state"]


def failing_at_the_start() -> object:
    bridge = Bridge()
    child = bridge.crew.hire("worker", Job(failing))
    bridge.deaths(child, 1)
    return child.failure, child.restarts


def told_to_end_by_the_crew() -> object:
    bridge = Bridge()
    child = bridge.crew.hire("worker", Job(obedient))
    bridge.reactor.until(lambda: child.ready)
    bridge.end(child)
    return child.failure, child.restarts, child.idle


def killed_by_the_crew() -> object:
    bridge = Bridge()
    child = bridge.crew.hire("worker", Job(obedient))
    bridge.reactor.until(lambda: child.ready)
    bridge.crew.kill([child])
    bridge.deaths(child, 1)
    return child.failure, child.restarts


def one_answers_late() -> object:
    bridge = Bridge()
    quick, slow = bridge.crew.hire("quick", Job(obedient)), bridge.crew.hire("slow", Job(answering_once))
    found: list[dict[str, Any]] = []

    def ask() -> None:
        bridge.crew.ask(
            [quick, slow], "count", lambda answers: found.append({each.name: answers[each] for each in answers})
        )

    bridge.reactor.until(lambda: quick.ready and slow.ready)
    ask()
    bridge.reactor.until(lambda: len(found) == 1)
    ask()
    bridge.clock.advance(2)  # the slow one's patience is over
    bridge.reactor.until(lambda: len(found) == 2)
    bridge.crew.kill([quick, slow])
    bridge.deaths(quick, 2)
    return found


def one_dies_while_asked() -> object:
    clock = SystemClock()
    reactor = Reactor(clock)
    crew = Crew(reactor, clock, asyncio.run, lambda child: None)
    child = crew.hire("slow", Job(answering_once))
    found: list[int] = []
    reactor.until(lambda: child.ready)
    os.kill(child.pid, signal.SIGSTOP)
    crew.ask([child], "count", lambda answers: found.append(len(answers)))
    crew.kill([child])
    reactor.until(lambda: bool(found), PATIENCE)
    return found, child.alive


def standing_still() -> object:
    """One is stopped, one is stopped for less than it takes, one is just slow, and one is told to end."""
    bridge = Bridge()
    names = ("stopped", "paused", "lively", "leaving")
    stopped, paused, lively, leaving = (bridge.crew.hire(name, Job(obedient)) for name in names)
    bridge.reactor.until(lambda: all(child.ready for child in bridge.crew.children))
    Pulse(bridge.reactor, bridge.crew, 8.0).start()
    first = {child.name: child.pid for child in bridge.crew.children}
    bridge.crew.tell([leaving], "drain")
    bridge.reactor.until(lambda: leaving.idle)
    for child in (stopped, paused, leaving):
        os.kill(child.pid, signal.SIGSTOP)
    asked: list[object] = []

    def pass_by(seconds: float, awake: Sequence[Child]) -> None:
        """So much time, in steps in which those who can answer have answered."""
        for _ in range(int(seconds * 2)):
            bridge.clock.advance(0.5)
            asked.clear()
            bridge.crew.ask(awake, "pid", asked.append)
            bridge.reactor.until(lambda: bool(asked))
            bridge.reactor.until(lambda: False, 0)

    pass_by(5, [lively])
    os.kill(paused.pid, signal.SIGCONT)
    alive_before = stopped.alive and stopped.pid == first["stopped"]
    pass_by(12, [lively, paused])
    bridge.reactor.until(lambda: bool(bridge.buried) and stopped.ready)
    found = [child.name for child in bridge.crew.children if child.alive and child.pid == first[child.name]]
    restarts = [child.restarts for child in bridge.crew.children]
    bridge.crew.kill(bridge.crew.children)
    bridge.reactor.until(lambda: not any(child.alive for child in bridge.crew.children))
    return alive_before, found, restarts, bridge.buried[0].name


class House:
    """Children of whom one may be the tenant."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self.reactor = Reactor(SystemClock())
        self.crew = Crew(self.reactor, SystemClock(), asyncio.run, lambda child: None)
        self.tenancy = Tenancy(
            self.reactor,
            self.crew,
            lambda: [child for child in self.crew.children if child.alive or child.wanted],
            patience=patience,
        )

    def hire(self, name: str) -> Child:
        child = self.crew.hire(name, Job(tenant))
        self.reactor.until(lambda: child.ready)
        return child

    def kept(self) -> list[str]:
        answers = self.crew.hear(self.crew.children, "kept")
        return [child.name for child in answers if answers[child]["kept"]]

    def until_kept(self, *names: str) -> None:
        self.reactor.until(lambda: self.kept() == list(names))


def alone_and_not_and_alone() -> object:
    house = House()
    house.tenancy.end()  # nobody is there yet
    one = house.hire("one")
    house.tenancy.start()
    found = [house.kept()]
    house.tenancy.end()
    found.append(house.kept())
    other = house.hire("other")
    house.reactor.until(lambda: False, 2.5)  # it looks again meanwhile
    found.append(house.kept())
    house.crew.tell([other], "end")
    house.until_kept("one")
    os.kill(one.pid, signal.SIGKILL)
    house.reactor.until(lambda: one.restarts == 1)
    house.tenancy.end()  # the dead keep nothing
    house.until_kept("one")  # in another life
    house.crew.kill([one])
    house.reactor.until(lambda: not one.alive)
    return found, one.restarts


def a_tenant_that_hangs() -> object:
    house = House(patience=0.1)
    one = house.hire("one")
    house.tenancy.start()
    house.until_kept("one")
    os.kill(one.pid, signal.SIGSTOP)
    said = []
    for _ in range(2):
        try:
            house.tenancy.end()
        except StartError as error:
            said.append(str(error))
    os.kill(one.pid, signal.SIGCONT)
    house.until_kept("one")  # it heard that late, and keeps again
    house.tenancy.end()
    said.append(str(house.kept()))
    house.crew.kill([one])
    house.reactor.until(lambda: not one.alive)
    return said


def a_tenant_that_dies_instead() -> object:
    house = House()
    one = house.hire("one")
    house.tenancy.start()
    house.until_kept("one")
    os.kill(one.pid, signal.SIGSTOP)
    house.reactor.later(0.05, lambda: house.crew.kill([one]))
    house.tenancy.end()
    return one.alive


if __name__ == "__main__":
    logging.disable()
    print(json.dumps(globals()[sys.argv[1]]()))
