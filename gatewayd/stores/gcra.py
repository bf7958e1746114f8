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


def judge(tat: int, now: int, rate: Rate) -> Decision:
    """Whether one more fits at `now`, and what is left after it.

    Over any stretch of time at most `burst + limit * elapsed / period` are admitted.
    """
    interval = rate.seconds * SECOND
    backlog = _backlog(tat, now, rate, interval) + interval
    short = backlog - rate.burst * interval
    if short > 0:
        backlog -= interval
        return Decision(now * rate.limit + backlog, _tally(backlog, interval, rate, short))
    return Decision(now * rate.limit + backlog, _tally(backlog, interval, rate, 0))


def peek(tat: int, now: int, rate: Rate) -> Tally:
    """What a window has that nothing is taken from: admitted, with all that is left."""
    interval = rate.seconds * SECOND
    return _tally(_backlog(tat, now, rate, interval), interval, rate, 0)


def _backlog(tat: int, now: int, rate: Rate, interval: int) -> int:
    """Ticks until the bucket is full; a tat further ahead than an empty bucket explains counts as empty."""
    return min(max(tat - now * rate.limit, 0), rate.burst * interval)


def _tally(backlog: int, interval: int, rate: Rate, short: int) -> Tally:
    """Times are rounded up to the nanosecond, so that who waits as long as told is never early."""
    return Tally(
        admitted=not short,
        remaining=rate.burst - -(-backlog // interval),
        resets_in=full_at(backlog, rate.limit) / SECOND,
        retry_in=full_at(short, rate.limit) / SECOND,
    )
