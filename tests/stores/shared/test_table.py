from collections.abc import Iterator
from functools import partial
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.stores.shared.memory import KEY_BYTES, SLOTS, SharedMemory
from gatewayd.stores.shared.table import ABSENT, Table
from tests.stores.shared.dying import TABLE, as_written, die_at


def in_python() -> type[Table]:
    return cast("type[Table]", as_written(TABLE).Table)


OLD = (2**127 + 5, 60)
NEW = (2**127 + 2**70 + 7, 1_000)


def key(number: int) -> bytes:
    return (number + 1).to_bytes(KEY_BYTES, "big")


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    memory = SharedMemory.create(2 * SLOTS)
    yield memory
    memory.close()


@pytest.fixture
def table(memory: SharedMemory) -> Table:
    return Table(memory)


@pytest.fixture
def written(memory: SharedMemory) -> Table:
    return in_python()(memory)


def kept(table: Table, which: bytes, bucket: int = 0) -> tuple[int, int] | None:
    slot, number, limit = table.look(bucket, which)
    return None if slot == ABSENT else (number, limit)


def test_a_key_has_what_was_last_written(table: Table) -> None:
    table.add(1, key(0), *OLD, 5.0)
    table.write(1, table.look(1, key(0))[0], *NEW, 6.0)
    assert kept(table, key(0), 1) == NEW
    assert kept(table, key(0), 0) is None
    assert kept(table, key(1), 1) is None


def test_a_write_that_dies_at_any_instruction_leaves_the_old_number_or_the_new(written: Table) -> None:
    written.add(0, key(0), *OLD, 5.0)
    written.add(0, key(1), *OLD, 5.0)
    slot, found, instruction = written.look(0, key(0))[0], [], 0
    while die_at(TABLE, instruction, lambda: written.write(0, slot, *NEW, 6.0)):
        found.append(kept(written, key(0)))
        assert kept(written, key(1)) == OLD
        written.write(0, slot, *OLD, 5.0)
        instruction += 1
    assert kept(written, key(0)) == NEW
    assert set(found) == {OLD, NEW}
    assert found == sorted(found, key=(OLD, NEW).index)


def test_a_write_that_dies_at_any_instruction_leaves_no_number_that_counts_to_be_taken_over() -> None:
    """New keys come when the old number is worth nothing any more, and the new one is."""
    memory = SharedMemory.create(400 * SLOTS)
    written = in_python()(memory)
    instruction, died, counts = 0, True, False
    while died:
        written.add(instruction, key(0), *OLD, 1.0)
        slot = written.look(instruction, key(0))[0]
        died = die_at(TABLE, instruction, partial(written.write, instruction, slot, *NEW, 9.0))
        counts = kept(written, key(0), instruction) == NEW
        for number in range(1, 2 * SLOTS):
            written.add(instruction, key(number), *OLD, 4.0, 5.0)
        assert not counts or kept(written, key(0), instruction) == NEW
        instruction += 1
    assert counts
    assert instruction > 5
    memory.close()


def full_bucket(table: Table, bucket: int) -> None:
    for number in range(SLOTS):
        table.add(bucket, key(number), *OLD, 1.0 if number == 9 else 5.0)


def test_a_takeover_that_dies_at_any_instruction_gives_no_key_the_number_of_another() -> None:
    memory = SharedMemory.create(400 * SLOTS)
    table = in_python()(memory)
    instruction, died = 0, True
    while died:
        full_bucket(table, instruction)
        add = partial(table.add, instruction, key(SLOTS), *NEW, 9.0)
        died = die_at(TABLE, instruction, add)
        assert all(kept(table, key(number), instruction) == OLD for number in range(SLOTS) if number != 9)
        assert kept(table, key(9), instruction) in (OLD, None)
        assert kept(table, key(SLOTS), instruction) in (NEW, None)
        instruction += 1
    assert instruction > 20
    assert kept(table, key(9), instruction - 1) is None
    assert kept(table, key(SLOTS), instruction - 1) == NEW
    memory.close()


def test_a_full_bucket_gives_up_what_is_worth_nothing_first(table: Table) -> None:
    for number in range(SLOTS):
        table.add(0, key(number), *OLD, 100.0 - number)
    table.add(0, key(SLOTS), *NEW, 50.0)
    absent = [number for number in range(SLOTS + 1) if kept(table, key(number)) is None]
    assert absent == [SLOTS - 1]


@given(
    moments=st.lists(st.sampled_from([5.0, 10.0, 11.0, 20.0]), min_size=SLOTS, max_size=SLOTS),
    who=st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES),
)
def test_no_key_that_counts_makes_room_where_another_is_worth_nothing_any_more(
    moments: list[float], who: bytes
) -> None:
    memory = SharedMemory.create(SLOTS)
    table = Table(memory)
    for number, moment in enumerate(moments):
        table.add(0, key(number), *OLD, moment)
    table.add(0, b"\xff" + who[1:], *NEW, 30.0, 10.0)
    gone = [moments[number] for number in range(SLOTS) if kept(table, key(number)) is None]
    assert len(gone) == 1
    assert gone[0] <= 10.0 or gone[0] == min(moments)
    assert kept(table, b"\xff" + who[1:]) == NEW
    memory.close()
