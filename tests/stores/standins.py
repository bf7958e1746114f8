"""Small stores that stand where bigger ones would."""

from collections.abc import Sequence

from gatewayd.clock import Clock
from gatewayd.model import Tally, Window
from gatewayd.stores import gcra


class PlainLocal:
    """A daemon's own counters in a dict, unbounded, with a cost and a moment at which all was used up."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tats: dict[str, int] = {}

    def judge(self, windows: Sequence[Window], *, cost: int = 1, empty_since: float | None = None) -> Sequence[Tally]:
        now = gcra.nanoseconds(self._clock.monotonic())
        tats = [self._tat(window, empty_since) for window in windows]
        judged = [gcra.judge(tat, now, window.rate.pace, cost) for tat, window in zip(tats, windows, strict=True)]
        if all(decision.tally.admitted for decision in judged):
            self._tats |= {window.key: decision.tat for window, decision in zip(windows, judged, strict=True)}
        return [decision.tally for decision in judged]

    def _tat(self, window: Window, empty_since: float | None) -> int:
        """Rates do not change here."""
        tat = self._tats.get(window.key, 0)
        if empty_since is None:
            return tat
        return max(tat, gcra.emptied(gcra.nanoseconds(empty_since), window.rate.pace))
