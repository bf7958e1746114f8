from collections.abc import AsyncIterator, Iterator

import pytest

from gatewayd.stores.redis.census import GREET, PRESENT, Census
from gatewayd.stores.redis.line import Line, dial
from gatewayd.stores.shared.memory import SharedMemory
from gatewayd.stores.shared.notes import SharedNotes
from tests.clocks import ManualClock
from tests.patience import PATIENCE
from tests.valkey import Valkey


@pytest.fixture
async def line(server: Valkey) -> AsyncIterator[Line]:
    line = Line(dial(server.url)(), [GREET], patience=PATIENCE)
    await line.open()
    yield line
    await line.close()


@pytest.fixture
def notes() -> Iterator[SharedNotes]:
    memory = SharedMemory.create(1)
    yield SharedNotes(memory, "redis://here")
    memory.close()


async def greet(line: Line, census: Census) -> bool:
    return census.heard((await line.ask([census.greeting()]))[0])


async def test_daemons_are_counted_and_the_workers_of_one_are_one(line: Line, clock: ManualClock) -> None:
    everybody = [Census(name, clock) for name in ("one", "one", "two")]
    for _ in range(2):
        assert not any([await greet(line, each) for each in everybody])
    assert [each.daemons for each in everybody] == [2, 2, 2]


@pytest.mark.parametrize(
    "loss",
    [("FLUSHALL",), ("ZADD", "gatewayd:{daemons}seen", "1", "one")],
    ids=["came back empty", "came back as it was"],
)
async def test_every_daemon_notices_once_that_the_server_lost_something(
    server: Valkey, line: Line, clock: ManualClock, loss: tuple[str, ...]
) -> None:
    both = Census("one", clock), Census("two", clock)
    assert [await greet(line, each) for each in both] == [False, False]
    server.say(*loss)
    assert [await greet(line, each) for each in both] == [True, True]
    assert [await greet(line, each) for each in both] == [False, False]


def test_after_an_outage_the_number_waits_for_the_others_before_it_falls(clock: ManualClock) -> None:
    census = Census("one", clock)
    census.heard(b"1 3 epoch")
    census.returned()
    census.heard(b"2 1 epoch")
    assert (census.daemons, census.alone, census.shared_until) == (3, False, None)
    clock.advance(PRESENT)
    census.heard(b"3 1 epoch")
    assert (census.daemons, census.alone, census.shared_until) == (1, True, 1_000 + PRESENT)


def test_a_worker_made_while_the_server_is_away_goes_by_what_others_of_its_daemon_heard(
    clock: ManualClock, notes: SharedNotes
) -> None:
    assert Census("one", clock, notes).daemons == 0
    before = Census("one", clock, notes)
    before.heard(b"1 3 epoch")
    before.note()
    successor = Census("one", clock, notes)
    assert (successor.daemons, successor.shared_until, successor.alone) == (3, None, False)
    before.heard(b"2 1 epoch")
    before.note()
    assert (before.daemons, before.shared_until) == (1, clock.monotonic())
    successor = Census("one", clock, notes)
    assert (successor.daemons, successor.shared_until, successor.alone) == (1, clock.monotonic(), True)


def test_a_worker_made_while_the_server_is_away_notices_that_it_came_back_without_what_it_had(
    clock: ManualClock, notes: SharedNotes
) -> None:
    before = Census("one", clock, notes)
    assert not before.heard(b"1 3 before")
    before.note()
    made_in_the_outage = Census("one", clock, notes)
    assert before.heard(b"0 3 after")
    before.note()
    assert made_in_the_outage.heard(b"0 3 after")
    assert not Census("one", clock, notes).heard(b"0 3 after"), "who comes later was told by the note"


def test_a_worker_made_after_the_loss_trusts_the_server_no_more_than_those_who_noticed_it(
    clock: ManualClock, notes: SharedNotes
) -> None:
    before = Census("one", clock, notes)
    before.heard(b"1 3 before")
    before.heard(b"0 3 after")
    before.distrust(clock.monotonic(), 7.0)
    before.note()
    successor = Census("one", clock, notes)
    assert (successor.floor_since, successor.mirror_since) == (clock.monotonic(), 7.0)
