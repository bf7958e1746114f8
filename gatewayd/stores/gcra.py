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
    # The next line is _backlog and the last one _tally: what nearly every request comes to, made without a call.
    backlog = 0 if tat < begin else tat - begin if tat < begin + room else room
    if (short := backlog + taken - room) > 0:
        return Decision(begin + backlog, _tally(backlog, room, taken, ticks, short))
    backlog += taken
    return Decision(begin + backlog, Tally(True, (room - backlog) // taken, -(-backlog // ticks) / SECOND, 0.0))


def peek(tat: int, now: int, pace: Pace, cost: int = 1) -> Tally:
    """What a window has that nothing is taken from: admitted, with all that is left."""
    room = pace.room
    return _tally(_backlog(tat, now * pace.ticks, room), room, cost * pace.interval, pace.ticks, 0)


def emptied(since: int, pace: Pace) -> int:
    """The tat of a bucket that was used up at the nanosecond `since`."""
    return since * pace.ticks + pace.room


def _backlog(tat: int, begin: int, room: int) -> int:
    """Ticks until the bucket is full; a tat further ahead than an empty bucket explains counts as empty."""
    backlog = tat - begin
    if backlog < 0:
        return 0
    return room if backlog > room else backlog


def _tally(backlog: int, room: int, taken: int, ticks: int, short: int) -> Tally:
    """Times are rounded up to the nanosecond, so that who waits as long as told is never early."""
    return Tally(
        not short,
        (room - backlog) // taken,
        -(-backlog // ticks) / SECOND,
        -(-short // ticks) / SECOND if short else 0.0,
    )
