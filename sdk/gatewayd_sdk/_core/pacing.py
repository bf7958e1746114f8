"""Slowing down before the gateway says so: a copy of the buckets that its RateLimit fields tell of."""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from gatewayd_sdk._core.answers import Answer
from gatewayd_sdk._core.limits import RateLimitWindow, rate_limit_in, retry_after_in

_MOST_BUCKETS: Final = 256
_OWN: Final = "/gateway/"


class _Bucket:
    """Calls that may follow: `level` at `at`, filled by `rate` a second up to `most`. Mutable."""

    def __init__(self, window: RateLimitWindow, rate: float, now: float) -> None:
        self.rate = rate
        self.most = max(1.0, window.remaining)
        self.level = float(window.remaining)
        self.at = now
        self.under_way = 0

    def fill(self, now: float) -> None:
        self.level = min(self.most, self.level + max(0.0, now - self.at) * self.rate)
        self.at = max(self.at, now)

    def take(self, now: float) -> float:
        """Takes a call and gives the seconds until it is there."""
        self.fill(now)
        self.level -= 1
        self.under_way += 1
        return max(0.0, -self.level / self.rate)

    def give_back(self) -> None:
        self.level = min(self.most, self.level + 1)
        self.under_way = max(0, self.under_way - 1)

    def learn(self, window: RateLimitWindow, now: float) -> None:
        """What the gateway counted; it may not have counted yet what is under way. `resets_in` is rounded up."""
        self.fill(now)
        self.most = max(self.most, window.remaining + max(0.0, window.resets_in - 1) * self.rate)
        self.level = min(self.level, window.remaining - self.under_way)


class Pacer:
    """Makes calls wait as long as the limits that the answers state ask for, instead of being refused.

    Share one among all clients of a token, in any threads of a process; calls of others with the same token are
    heard of in the answers. The first answers have to tell the limits, so the first calls do not wait. A wait that
    does not fit into a call's total timeout raises APITimeoutError at once, and nothing is sent.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._closed_until: dict[str, float] = {}

    def begun(self, path: str, now: float) -> float:
        """The seconds that a call has to wait; `ended` or `withdrawn` must follow, whatever becomes of it."""
        if path.startswith(_OWN):
            return 0.0
        with self._lock:
            waits = [bucket.take(now) for bucket in self._of(path)]
            return max(0.0, self._closed_until.get(_route(path), 0.0) - now, *waits)

    def withdrawn(self, path: str) -> None:
        """The call is not made after all."""
        if not path.startswith(_OWN):
            with self._lock:
                for bucket in self._of(path):
                    bucket.give_back()

    def ended(self, path: str, answer: Answer | None, now: float) -> None:
        """Learns from the answer, None if there was none."""
        if path.startswith(_OWN):
            return
        with self._lock:
            for bucket in self._of(path):
                bucket.under_way = max(0, bucket.under_way - 1)
            if answer is not None:
                self._learn(path, answer, now)

    def _learn(self, path: str, answer: Answer, now: float) -> None:
        limits = rate_limit_in(answer.headers)
        for window in limits.windows if limits else ():
            if window.limit and window.window:
                self._bucket(_key(path, window.name), window, now).learn(window, now)
        if answer.status == 429 and (pause := retry_after_in(answer.headers, now)):
            self._closed_until[_route(path)] = now + pause
            while len(self._closed_until) > _MOST_BUCKETS:
                del self._closed_until[next(iter(self._closed_until))]

    def _bucket(self, key: str, window: RateLimitWindow, now: float) -> _Bucket:
        rate = (window.limit or 1) / (window.window or 1)
        bucket = self._buckets.get(key)
        if bucket is None or bucket.rate != rate:
            bucket = self._buckets[key] = _Bucket(window, rate, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > _MOST_BUCKETS:
            self._buckets.popitem(last=False)
        return bucket

    def _of(self, path: str) -> Iterator[_Bucket]:
        """The buckets that a call to this path is taken from: the caller's, and the route's."""
        route = _route(path)
        return (bucket for key, bucket in self._buckets.items() if key.partition(" ")[0] in ("", route))


def _key(path: str, window: str) -> str:
    return f"{_route(path) if window.startswith('route-') else ''} {window}"


def _route(path: str) -> str:
    """What a route's windows are told apart by: the first two segments, as in /api/email."""
    return "/".join(path.split("/", 3)[:3])
