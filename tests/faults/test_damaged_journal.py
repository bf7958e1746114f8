"""A journal of a killed daemon that was damaged: what can be read is posted, the rest is set aside and named."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from gatewayd.prove.outages import locked
from gatewayd.stores.journal.frames import WORD, space
from gatewayd.stores.journal.segment import START
from tests.daemons import gatewayd, running_daemon
from tests.faults.crowds import bearer, call, configured, counting_agent, finished, nothing_held, posted, records_of
from tests.stores.journal.entries import payloads_in

CALLS = 5  # at least, in each journal; each two entries: an intent and a conclusion
MIDDLE = 7  # the entry at which damage in the middle begins: the conclusion of the fourth call
UNLIMITED = bearer("bob", plan="open")


class Segment:
    """The bytes of one, to be damaged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = bytearray(path.read_bytes())
        sizes = [space(len(payload)) for payload in payloads_in(bytes(self.data[START:]))]
        self.ends = [START + end for end in accumulate(sizes)]
        self.starts = [end - size for end, size in zip(self.ends, sizes, strict=True)]

    def write(self) -> None:
        self.path.write_bytes(self.data)


def random_bytes_after_the_end(segment: Segment) -> None:
    end = segment.ends[-1]
    segment.data[end : end + 200] = random.Random(4).randbytes(200)


def a_frame_cut_off(segment: Segment) -> None:
    """The file itself ends in the middle of the last conclusion, as after a crash of the machine."""
    del segment.data[segment.starts[-1] + WORD + 5 :]


def the_last_frame_blank(segment: Segment) -> None:
    segment.data[segment.starts[-1] :] = bytes(len(segment.data) - segment.starts[-1])


def zeroes_in_the_middle(segment: Segment) -> None:
    begin, end = segment.starts[MIDDLE], segment.ends[MIDDLE]
    segment.data[begin:end] = bytes(end - begin)


def a_flipped_bit_in_the_middle(segment: Segment) -> None:
    segment.data[segment.starts[MIDDLE] + WORD + 3] ^= 0x10


def a_length_beyond_the_file(segment: Segment) -> None:
    segment.data[segment.starts[MIDDLE] : segment.starts[MIDDLE] + 4] = b"\xff\xff\xff\x7f"


def another_magic(segment: Segment) -> None:
    segment.data[:START] = b"gwjrnl\x00\x09"


class Case(NamedTuple):
    """`records` and `unknown`: what is read of a journal, None for all of it; `said`: words of the log."""

    spoil: Callable[[Segment], None]
    records: int | None
    unknown: int
    said: str


CASES = [
    Case(random_bytes_after_the_end, None, 0, "is damaged"),
    Case(a_frame_cut_off, None, 1, "is damaged"),
    Case(the_last_frame_blank, None, 1, ""),  # as if it was not written
    Case(zeroes_in_the_middle, 4, 1, "where entries go on"),
    Case(a_flipped_bit_in_the_middle, 4, 1, "is damaged"),
    Case(a_length_beyond_the_file, 4, 1, "is damaged"),
    Case(another_magic, 0, 0, "this version of gatewayd cannot read it"),
]


async def test_what_can_be_read_of_damaged_journals_is_posted_and_the_rest_is_set_aside_and_named(
    tmp_path: Path,
) -> None:
    """Each worker's journal is damaged in another way."""
    async with counting_agent() as (agent, counting):
        config = configured(tmp_path, agent.url, workers=len(CASES))
        async with running_daemon(config) as daemon, locked(tmp_path / "ledger.db"):  # nothing is posted
            while min(len(segment.ends) for segment in segments(tmp_path)) < 2 * CALLS:
                for _ in range(10 * len(CASES)):  # one after the other: each conclusion comes next to its intent
                    assert (await call(daemon, UNLIMITED)).status == 200
            daemon.process.kill()
            await daemon.ended()
        damaged = list(zip(segments(tmp_path), CASES, strict=True))
        expected: Counter[str] = Counter()
        for segment, case in damaged:
            calls = len(segment.ends) // 2 if case.records is None else case.records
            expected.update(delivered=calls - case.unknown, unknown=case.unknown)
            case.spoil(segment)
            segment.write()
        async with running_daemon(config) as successor:
            records = records_of(config)
            assert Counter(each.outcome for each in records.values()) == expected
            assert records.keys() < set(counting.reached)
            assert (await call(successor, UNLIMITED)).status == 200
            await posted(config, {counting.reached[-1]})
            await nothing_held(config)
            await finished(successor)
        verified = await asyncio.to_thread(gatewayd, "ledger", "verify", "-c", config)
    assert (verified.returncode, verified.stderr) == (0, "")
    for segment, case in damaged:
        told = [line for line in successor.log.splitlines() if str(segment.path) in line]
        kept = segment.path.parent.with_name(f"{segment.path.parent.name}.damaged") / segment.path.name
        assert kept.exists() == bool(case.said), case
        assert not case.said or kept.read_bytes() == segment.data, case
        assert len(told) == bool(case.said), case
        assert all(f"what can be read is posted: {segment.path}: " in line and case.said in line for line in told)


def segments(state: Path) -> list[Segment]:
    return [Segment(path) for path in sorted((state / "journal").glob("*/*.seg"))]
