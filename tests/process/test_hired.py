"""How a child's life is told to operators."""

import socket
from collections.abc import Iterator

import pytest

from gatewayd.process.child import Link
from gatewayd.process.hired import Child, Job
from gatewayd.process.lines import Lines
from gatewayd.process.reactor import Reactor
from tests.clocks import ManualClock


async def idle(link: Link) -> None:
    del link


@pytest.fixture
def line(clock: ManualClock) -> Iterator[Lines]:
    reactor = Reactor(clock)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs:
        lines = Lines(reactor, ours, lambda _: None, lambda: None, most=100)
        yield lines
        lines.close()
    reactor.close()


def test_a_child_starts_serves_retires_and_is_dead(line: Lines) -> None:
    child = Child("worker 1", Job(idle), awaited=True)
    states = [child.describe()["state"]]
    child.lines = line
    states.append(child.describe()["state"])
    child.ready = True
    states.append(child.describe()["state"])
    child.retired = True
    states.append(child.describe()["state"])
    child.lines = None
    states.append(child.describe()["state"])
    assert states == ["dead", "starting", "serving", "retired", "dead"]


def test_one_that_lives_is_handed_over_with_its_line(line: Lines) -> None:
    child = Child("worker 1", Job(idle), awaited=True)
    child.pid, child.lines = 7, line
    assert child.handed_over() == {"name": "worker 1", "pid": 7, "line": line.fd}
