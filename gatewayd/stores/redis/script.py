"""GCRA inside Redis: what one call is told and what its answer means. The arithmetic is that of `stores.gcra`.

A number in Lua is a double, exact up to 2^53, which ticks of a nanosecond (or microsecond times limit) exceed. So a
backlog is kept in two whole numbers: microseconds, and what is left in parts of 1/limit of one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha1
from typing import Final, NamedTuple

from gatewayd.model import Rate, Tally, Window
from gatewayd.stores import gcra

PREFIX: Final = "gatewayd:"
MICROSECOND: Final = 1_000_000
LARGEST: Final = 2**50


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script and the name the server knows it by."""

    text: str

    @property
    def sha(self) -> str:
        return sha1(self.text.encode(), usedforsecurity=False).hexdigest()


# KEYS are the windows' keys. ARGV: the time in microseconds (0: the server's own), whether to take without asking,
# then for each window "limit, what one take adds, what a bucket holds, the least backlog it starts from".
# A key is kept as "full at, parts, limit". The answer is each window's backlog before the take.
# A value that nobody of us wrote counts as a bucket used up, and is replaced. A backlog may be more than a bucket
# holds: that of a larger burst.
TAKE: Final = Script("""
local now, kept = tonumber(ARGV[1]), 0
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
else
  kept = 60000
end
local forced, fits = ARGV[2] == '1', true
local values, lives, answer = {}, {}, {}
for i = 1, #KEYS do
  local found = redis.pcall('GET', KEYS[i])
  local limit, step, step_parts, cap, cap_parts, least =
    string.match(ARGV[i + 2], '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$')
  limit, step, step_parts = tonumber(limit), tonumber(step), tonumber(step_parts)
  cap, cap_parts, least = tonumber(cap), tonumber(cap_parts), tonumber(least)
  local wait, parts, foreign = 0, 0, false
  if type(found) == 'table' then
    if string.sub(found.err, 1, 9) ~= 'WRONGTYPE' then return found end
    foreign = true
  elseif found then
    local full, rest, was = string.match(found, '^(%d+) (%d+) (%d+)$')
    if full then
      wait, parts, was = full - now, tonumber(rest), tonumber(was)
      if was ~= limit then
        if parts * limit < 9007199254740992 then parts = math.ceil(parts * limit / was) else parts = limit end
        if parts >= limit then wait, parts = wait + 1, 0 end
      end
      if wait < 0 then wait, parts = 0, 0 end
    else
      foreign = true
    end
  end
  if wait < least then wait, parts = least, 0 end
  if foreign then wait, parts = cap, cap_parts end
  answer[2 * i - 1], answer[2 * i] = string.format('%.0f', wait), string.format('%.0f', parts)
  local after, after_parts = wait + step, parts + step_parts
  if after_parts >= limit then after, after_parts = after + 1, after_parts - limit end
  if after > cap or (after == cap and after_parts > cap_parts) then
    after, after_parts, fits = cap, cap_parts, false
  end
  values[i] = string.format('%.0f %.0f %.0f', now + after, after_parts, limit)
  lives[i] = string.format('%.0f', math.ceil(after / 1000) + 1 + kept)
  if foreign then redis.call('SET', KEYS[i], values[i], 'PX', lives[i]) end
end
if fits or forced then
  for i = 1, #KEYS do redis.call('SET', KEYS[i], values[i], 'PX', lives[i]) end
end
return table.concat(answer, ' ')
""")


class Backlog(NamedTuple):
    """How far a bucket is from full: whole microseconds, and parts of 1/limit of one."""

    wait: int
    parts: int


@lru_cache(maxsize=4096)
def bounded(rate: Rate) -> Rate:
    """The rate, or one that admits less where its numbers would not be exact any more (a burst of 35 years)."""
    limit = min(rate.limit, LARGEST)
    most = max(1, LARGEST * limit // (rate.seconds * MICROSECOND))
    return rate if limit == rate.limit and rate.burst <= most else Rate(limit, rate.period, min(rate.burst, most))


def divided(amount: int, limit: int) -> Backlog:
    """Ticks of 1/limit microsecond as the two numbers that the script wants."""
    return Backlog(*divmod(amount, limit))


@lru_cache(maxsize=4096)
def _spoken(rate: Rate) -> str:
    period = rate.seconds * MICROSECOND
    step, cap = divided(period, rate.limit), divided(period * rate.burst, rate.limit)
    return f"{rate.limit} {step.wait} {step.parts} {cap.wait} {cap.parts} "


def holds(rate: Rate) -> int:
    """The microseconds in which a bucket that was used up is full again, rounded up."""
    return -(-rate.seconds * MICROSECOND * rate.burst // rate.limit)


def take(windows: Sequence[Window], *, now: int = 0, least: Sequence[int] = ()) -> tuple[str, ...]:
    """The command that takes one from every window. `least`: microseconds that each is from full at least."""
    told = least or (0,) * len(windows)
    return (
        "EVALSHA",
        TAKE_SHA,
        str(len(windows)),
        *[PREFIX + window.key for window in windows],
        str(now),
        "0",
        *[f"{_spoken(bounded(w.rate))}{floor}" for w, floor in zip(windows, told, strict=True)],
    )


def add(key: str, rate: Rate, backlog: Backlog, *, now: int = 0, least: int = 0) -> tuple[str, ...]:
    """The command that adds what was taken elsewhere, whether it fits or not; a bucket is used up at most."""
    limit, _, _, *cap = _spoken(rate).split()
    told = f"{limit} {backlog.wait} {backlog.parts} {' '.join(cap)} {least}"
    return ("EVALSHA", TAKE_SHA, "1", PREFIX + key, str(now), "1", told)


def tallies(windows: Sequence[Window], answer: bytes) -> list[Tally]:
    """What the backlogs before the take mean, by the same arithmetic that the script went by."""
    numbers = list(map(int, answer.split()))
    rates = [bounded(window.rate) for window in windows]
    # Judged at moment 0, a tat is a backlog; its ticks are a thousandth of the script's.
    tats = [
        (wait * rate.limit + parts) * 1000 for wait, parts, rate in zip(numbers[::2], numbers[1::2], rates, strict=True)
    ]
    judged = [gcra.judge(tat, 0, rate.fine).tally for tat, rate in zip(tats, rates, strict=True)]
    if all(tally.admitted for tally in judged):
        return judged
    return [
        gcra.peek(tat, 0, rate.fine) if tally.admitted else tally
        for tat, rate, tally in zip(tats, rates, judged, strict=True)
    ]


TAKE_SHA: Final = TAKE.sha
