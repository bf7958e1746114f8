"""A segment goes when nobody can miss it, and not before."""

from pathlib import Path

import pytest

from gatewayd.stores.journal.frames import Position
from gatewayd.stores.journal.retention import DELETED, Retention
from gatewayd.stores.journal.segment import numbers, path_of

END = Position(4, 800)
NONE_OPEN = 99


@pytest.fixture
def retention(tmp_path: Path) -> Retention:
    for number in range(1, 5):
        path_of(tmp_path, number).touch()
    return Retention(tmp_path)


@pytest.mark.parametrize(
    ("shipped", "oldest_open", "concluded", "left"),
    [
        (Position(1, 500), NONE_OPEN, [], [1, 2, 3, 4]),
        (Position(3, 8), NONE_OPEN, [], [3, 4]),
        (END, NONE_OPEN, [], [4]),
        (END, 2, [], [2, 3, 4]),
        (Position(4, 400), NONE_OPEN, [(2, 4)], [2, 3, 4]),
        (Position(4, 400), NONE_OPEN, [(3, 4), (2, 4), (3, 4)], [2, 3, 4]),
        (Position(4, 400), NONE_OPEN, [(2, 3)], [4]),
        (Position(4, 400), NONE_OPEN, [(4, 4)], [4]),
        (END, NONE_OPEN, [(1, 4)], [4]),
    ],
    ids=[
        "not the one being read",
        "what was read",
        "the last stays",
        "an open intent keeps its own and all after it",
        "a conclusion not shipped keeps its intent",
        "the oldest of several",
        "a shipped conclusion keeps none",
        "within one segment",
        "all is shipped",
    ],
)
def test_what_is_needed_stays(
    tmp_path: Path,
    retention: Retention,
    shipped: Position,
    oldest_open: int,
    concluded: list[tuple[int, int]],
    left: list[int],
) -> None:
    for begun, ended in concluded:
        retention.concluded(begun, ended)
    retention.ship(shipped, END)
    retention.delete(oldest_open)
    assert numbers(tmp_path) == left
    assert retention.oldest == left[0]


def test_what_was_shipped_stays_shipped(retention: Retention) -> None:
    retention.ship(Position(3, 8), END)
    retention.ship(Position(2, 8), END)
    assert retention.shipped == (3, 8)


def test_an_event_loop_is_never_held_up_by_many_at_once(tmp_path: Path, retention: Retention) -> None:
    retention.ship(Position(100, 8), Position(100, 8))
    retention.delete(NONE_OPEN)
    assert retention.oldest == 1 + DELETED
    assert numbers(tmp_path) == []
