"""The arithmetic of a rate (GCRA, ITU-T I.371, as a leaky bucket): one number a key, and no rounding.

A *tick* is a nanosecond divided by the rate's limit. Counted in ticks, the interval between two requests is
the period in nanoseconds, a whole number for every rate, so nothing drifts however long a key lives. The
number kept is the theoretical arrival time (`tat`): the tick at which the bucket is full again.
"""

from typing import Final, NamedTuple

from gatewayd.model import Rate, Tally

SECOND: Final = 1_000_000_000


class Decision(NamedTuple):
    """`tat` is what to keep if the take goes through; of a refusal, what stands already."""

    tat: int
    tally: Tally


def nanoseconds(seconds: float) -> int:
    """A monotonic reading as the whole number that `judge` and `peek` want as `now`."""
    return round(seconds * SECOND)


def full_at(tat: int, limit: int) -> int:
    """The nanosecond at which a bucket kept in ticks of `limit` is full again."""
    return -(-tat // limit)


def rescaled(tat: int, old_limit: int, new_limit: int) -> int:
    """The same moment in the ticks of another limit: a changed rate goes on from where the key stood."""
    return -(-tat * new_limit // old_limit)


def judge(tat: int, now: int, rate: Rate, cost: int = 1) -> Decision:
    """Whether one more, which counts as `cost`, fits at `now`, and what is left after it.

    Over any stretch of time at most `(burst + limit * elapsed / period) / cost` are admitted.
    """
    limit = rate.limit
    room = rate.room
    taken = cost * rate.interval
    begin = now * limit
    # The next line is _backlog and the last one _tally: what nearly every request comes to, made without a call.
    backlog = 0 if tat < begin else tat - begin if tat < begin + room else room
    if (short := backlog + taken - room) > 0:
        return Decision(begin + backlog, _tally(backlog, room, taken, limit, short))
    backlog += taken
    return Decision(begin + backlog, Tally(True, (room - backlog) // taken, -(-backlog // limit) / SECOND, 0.0))


def peek(tat: int, now: int, rate: Rate, cost: int = 1) -> Tally:
    """What a window has that nothing is taken from: admitted, with all that is left."""
    room = rate.room
    return _tally(_backlog(tat, now * rate.limit, room), room, cost * rate.interval, rate.limit, 0)


def emptied(since: int, rate: Rate) -> int:
    """The tat of a bucket that was used up at the nanosecond `since`."""
    return since * rate.limit + rate.room


def _backlog(tat: int, begin: int, room: int) -> int:
    """Ticks until the bucket is full; a tat further ahead than an empty bucket explains counts as empty."""
    backlog = tat - begin
    if backlog < 0:
        return 0
    return room if backlog > room else backlog


def _tally(backlog: int, room: int, taken: int, limit: int, short: int) -> Tally:
    """Times are rounded up to the nanosecond, so that who waits as long as told is never early."""
    return Tally(
        not short,
        (room - backlog) // taken,
        -(-backlog // limit) / SECOND,
        -(-short // limit) / SECOND if short else 0.0,
    )
