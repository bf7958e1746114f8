"""The arithmetic of a rate (GCRA, ITU-T I.371, as a leaky bucket): one number a key, and no rounding.

A *tick* is a nanosecond, or a part of one, such that the interval between two requests is a whole number of them
(`Pace`), so nothing drifts however long a key lives. The number kept is the theoretical arrival time (`tat`): the tick
at which the bucket is full again.
"""

from typing import Final, NamedTuple

from gatewayd.model import Pace, Tally

SECOND: Final = 1_000_000_000


class Decision(NamedTuple):
    """`tat` is what to keep if the take goes through; of a refusal, what stands already."""

    tat: int
    tally: Tally


def nanoseconds(seconds: float) -> int:
    """A monotonic reading as the whole number that `judge` and `peek` want as `now`."""
    return int(seconds * SECOND + 0.5)  # `round` would be a call of Python's where the rest is compiled


def full_at(tat: int, ticks: int) -> int:
    """The nanosecond at which a bucket is full again that is kept in so many ticks a nanosecond."""
    return -(-tat // ticks)


def rescaled(tat: int, old: int, new: int) -> int:
    """The same moment where a nanosecond has `new` ticks for `old`: a changed rate goes on from where the key stood."""
    return -(-tat * new // old)


def judge(tat: int, now: int, pace: Pace, cost: int = 1) -> Decision:
    """Whether one more, which counts as `cost`, fits at `now`, and what is left after it.

    Over any stretch of time at most `(burst + limit * elapsed / period) / cost` are admitted.
    """
    ticks = pace.ticks
    room = pace.room
    taken = cost * pace.interval
    begin = now * ticks
    # The last line is _tally, without a call: what nearly every request comes to.
    backlog = tat - begin if tat > begin else 0
    if (short := backlog + taken - room) > 0:
        return Decision(begin + backlog, _tally(backlog, room, taken, ticks, short))
    backlog += taken
    return Decision(begin + backlog, Tally(True, (room - backlog) // taken, -(-backlog // ticks) / SECOND, 0.0))


def peek(tat: int, now: int, pace: Pace, cost: int = 1) -> Tally:
    """What a window has that nothing is taken from: admitted, with all that is left."""
    room = pace.room
    return _tally(max(0, tat - now * pace.ticks), room, cost * pace.interval, pace.ticks, 0)


def emptied(since: int, pace: Pace) -> int:
    """The tat of a bucket that was used up at the nanosecond `since`."""
    return since * pace.ticks + pace.room


def _tally(backlog: int, room: int, taken: int, ticks: int, short: int) -> Tally:
    """Times are rounded up to the nanosecond, so that who waits as long as told is never early.

    A backlog of more than the room is what a larger burst allowed, be it an earlier one or that of the user's other
    plan. It is waited for: to forget it would give the larger burst again to who asks in turn by the one and the other.
    """
    return Tally(
        not short,
        (room - backlog) // taken if backlog < room else 0,
        -(-backlog // ticks) / SECOND,
        -(-short // ticks) / SECOND if short else 0.0,
    )
