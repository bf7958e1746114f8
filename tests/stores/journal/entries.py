"""Holds and endings for the journal's tests."""

from collections.abc import Iterator
from pathlib import Path

from hypothesis import strategies as st

from gatewayd.model import Ending, Hold, Outcome
from gatewayd.stores.journal.frames import frame_at, space
from gatewayd.stores.journal.reader import Entry, JournalReader
from gatewayd.stores.journal.writer import Journal

ENDING = Ending(3, 2, Outcome.DELIVERED, 200, 1_764_000_001.25, 10, 2_000)
"""One that no brief can say, as its lease paid a part."""
USUAL = Ending(3, 3, Outcome.DELIVERED, 200, 1_764_000_001.25, 10, 2_000)
SMALL = 4096
"""Bytes of a segment that holds some twenty requests."""

NUMBERS = st.integers(0, 2**53 - 1)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)
HOLDS = st.builds(
    Hold,
    id=TEXTS,
    user_id=TEXTS,
    plan=TEXTS,
    agent=TEXTS,
    route=TEXTS,
    unit=TEXTS,
    units=NUMBERS,
    limit=NUMBERS,
    cost=NUMBERS,
    started_at=st.floats(0, 4e9),
)
ENDINGS = st.builds(
    Ending,
    quantity=NUMBERS,
    drawn=NUMBERS,
    outcome=st.sampled_from(Outcome),
    status=st.integers(0, 999),
    ended_at=st.floats(0, 4e9),
    bytes_in=NUMBERS,
    bytes_out=NUMBERS,
)


def hold(number: int, user: str = "ann") -> Hold:
    return Hold(f"{number:032x}", user, "pro", "chat", "chat", "requests", 1, 100, 1, 1_764_000_000.5)


def ending(number: int) -> Ending:
    """Now and then one that is not usual."""
    return USUAL if number % 5 else ENDING


def serve(journal: Journal, first: int, count: int, ended: Ending = ENDING) -> None:
    """Requests that begin and end one after the other."""
    for number in range(first, first + count):
        journal.intend(hold(number))
        journal.conclude(hold(number).id, ended)


def read_all(directory: Path) -> list[Entry]:
    reader = JournalReader(directory)
    entries: list[Entry] = []
    while found := reader.read(7):
        entries += found
    reader.close()
    return entries


def segments(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.glob("*.seg"))


def payloads_in(data: bytes) -> Iterator[bytes]:
    """Of all frames up to the first that is not sound."""
    at = 0
    while (payload := frame_at(data, at)) is not None:
        yield payload
        at += space(len(payload))
