import os
import resource
from pathlib import Path

import pytest

from gatewayd.errors import StoreError
from gatewayd.stores.shared.memory import BUCKET_BYTES, NOTES, SLOTS, SharedMemory, size_of


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize(("capacity", "buckets"), [(1, 1), (SLOTS, 1), (SLOTS + 1, 2), (131_072, 2_048)])
def test_it_has_room_for_the_capacity_in_whole_buckets(capacity: int, buckets: int) -> None:
    memory = SharedMemory.create(capacity)
    assert memory.buckets == buckets
    assert len(memory.bytes) == size_of(buckets) >= buckets * BUCKET_BYTES
    assert list(memory.notes) == [0.0] * NOTES
    memory.close()


def test_all_of_it_is_set_aside_at_once() -> None:
    memory = SharedMemory.create()
    assert os.fstat(memory.fd).st_blocks * 512 >= len(memory.bytes)
    memory.close()


def test_a_table_without_room_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="capacity"):
        SharedMemory.create(0)


def test_too_little_memory_is_told_with_what_it_takes_and_leaves_no_file_open() -> None:
    before = open_files()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    try:
        with pytest.raises(StoreError, match=r"counters.url: memory: needs 11 MiB of shared memory: File too large"):
            SharedMemory.create()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert open_files() == before


def test_the_notes_touch_no_bucket() -> None:
    memory = SharedMemory.create(1)
    memory.notes[0], memory.notes[1] = 3, 1_000.5
    assert not any(memory.bytes[:BUCKET_BYTES])
    memory.bytes[BUCKET_BYTES - 8 : BUCKET_BYTES] = b"\xff" * 8
    assert list(memory.notes[:2]) == [3, 1_000.5]
    memory.close()


def test_two_tables_hash_differently() -> None:
    one, other = SharedMemory.create(1), SharedMemory.create(1)
    assert one.secret != other.secret
    one.close()
    other.close()


def test_closing_it_twice_is_harmless() -> None:
    memory = SharedMemory.create(1)
    memory.close()
    memory.close()
