import os
from collections.abc import Iterator

import pytest

from gatewayd.stores.shared.memory import NOTES, SharedMemory, size_of
from gatewayd.stores.shared.notes import Noted, SharedNotes

LOSS = Noted(3, None, 1_000.5, 900.25, "0123456789abcdef")


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    memory = SharedMemory.create(1)
    yield memory
    memory.close()


def test_what_one_notes_the_next_finds(memory: SharedMemory) -> None:
    assert SharedNotes(memory, "redis://here").noted() == Noted()
    SharedNotes(memory, "redis://here").note(LOSS)
    assert SharedNotes(memory, "redis://here").noted() == LOSS


def test_of_another_server_only_the_number_of_daemons_holds(memory: SharedMemory) -> None:
    SharedNotes(memory, "redis://here").note(LOSS)
    assert SharedNotes(memory, "redis://there").noted() == Noted(3)


def test_notes_do_not_touch_the_buckets(memory: SharedMemory) -> None:
    SharedNotes(memory, "redis://here").note(LOSS)
    assert not any(memory.bytes[: -len(memory.notes) * 8])


def test_a_table_of_an_older_version_which_had_two_notes_gets_room_for_the_others(memory: SharedMemory) -> None:
    two_notes = size_of(memory.buckets) - (NOTES - 2) * 8
    memory.notes[0] = 3.0
    older = os.memfd_create("older")
    os.write(older, memory.bytes[:two_notes])
    newer = SharedMemory.taken_over({"fd": older, "buckets": memory.buckets, "secret": memory.secret.hex()})
    notes = SharedNotes(newer, "redis://here")
    assert notes.noted() == Noted(3)
    notes.note(LOSS)
    assert notes.noted() == LOSS
    newer.close()
