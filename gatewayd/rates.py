"""How often somebody may ask, where that counts, and what is left of it. They check themselves.

`Window` and `Tally` are made by requests, so they say how: what a dataclass would make for that stays Python where the
rest is compiled. Nobody assigns to what they say (`Final`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import gcd
from typing import Any, Final

PERIOD_SECONDS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


@dataclass(frozen=True, slots=True)
class Pace:
    """A rate in whole numbers, for the arithmetic of `stores/gcra.py`."""

    ticks: int
    """How many a nanosecond has."""
    interval: int
    """Ticks between two requests."""
    room: int
    """Ticks that an empty bucket takes to fill."""


@dataclass(frozen=True, slots=True)
class Rate:
    """`limit` requests per `period` on average, `burst` of them at once (default: the limit)."""

    limit: int
    period: str
    burst: int = 0
    pace: Pace = field(init=False, repr=False, compare=False)
    """In the longest ticks that do: a nanosecond for nearly every rate that people think of."""
    fine: Pace = field(init=False, repr=False, compare=False)
    """In ticks of which a nanosecond has `limit`, whatever the period."""

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ValueError("a limit must be at least 1")
        if self.period not in PERIOD_SECONDS:
            raise ValueError(f"a period is one of {', '.join(PERIOD_SECONDS)}")
        if self.burst < 0:
            raise ValueError("a burst must be at least 1")
        if not self.burst:
            object.__setattr__(self, "burst", self.limit)
        period = self.seconds * 1_000_000_000
        common = gcd(self.limit, period)
        object.__setattr__(self, "pace", Pace(self.limit // common, period // common, self.burst * period // common))
        object.__setattr__(self, "fine", Pace(self.limit, period, self.burst * period))

    def __reduce__(self) -> tuple[type["Rate"], tuple[int, str, int]]:
        # Workers are handed the settings pickled, and what is laid out by the compiler can be made only as it is here.
        return Rate, (self.limit, self.period, self.burst)

    @property
    def seconds(self) -> int:
        return PERIOD_SECONDS[self.period]


@dataclass(slots=True, unsafe_hash=True, init=False)
class Window:
    """One rate of one caller: `key` is where it counts, `name` is what the caller sees of it.

    `mark` is the counters', to find again at once what they found before: nothing that the window says. `remaining`
    and `refilled_in` (nanoseconds until it is full again) are of the last take of a `Bundle` that was given.
    """

    key: Final[str]
    name: Final[str]
    rate: Final[Rate]
    mark: Any = field(repr=False, compare=False)
    remaining: int = field(repr=False, compare=False)
    refilled_in: int = field(repr=False, compare=False)

    def __init__(self, key: str, name: str, rate: Rate) -> None:
        self.key = key
        self.name = name
        self.rate = rate
        self.mark = None
        self.remaining = 0
        self.refilled_in = 0


class Bundle:
    """Windows of distinct keys that are taken from together, again and again; `mark` is as a window's."""

    __slots__ = ("each", "mark")

    def __init__(self, each: Sequence[Window]) -> None:
        self.each: Final = tuple(each)
        self.mark: Any = None


@dataclass(slots=True, unsafe_hash=True, init=False)
class Tally:
    """What a window says after a take, in seconds from now.

    `resets_in`: until it is full again. `retry_in`: until one more would be admitted; 0 when it was.
    """

    admitted: Final[bool]
    remaining: Final[int]
    resets_in: Final[float]
    retry_in: Final[float]

    def __init__(self, admitted: bool, remaining: int, resets_in: float, retry_in: float) -> None:
        self.admitted = admitted
        self.remaining = remaining
        self.resets_in = resets_in
        self.retry_in = retry_in
