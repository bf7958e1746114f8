"""The connections to one agent's address that nobody uses: a stack, so that those that are one too many grow old.

aiohttp counts them as acquired all the while, and closes them with its connector. It keeps none of them itself.
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

from gatewayd.outbox import Outbox
from gatewayd.proxy.awaited import Awaited

MOST: Final = 4096
"""So many are kept, which is more than wait for long: those that serve calls are not among them."""
_AT_ONCE: Final = 64
_SOON: Final = 0.05  # seconds until the next ones are closed where many more are too old


class Idle:
    """Mutable: a connection is taken by who calls on it, and comes back if another call may follow.

    `keeps`: nobody gets one that was idle for longer than so many seconds, and it is closed within twice that time,
    as are those that were lost meanwhile. There is one timer for all of them, and none where nothing is idle.
    """

    __slots__ = ("_close", "_kept", "_loop", "_now", "_timer", "keeps", "outbox")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, keeps: float, outbox: Outbox, close: Callable[[Any], None]
    ) -> None:
        """`close` ends a connection, by its protocol; `outbox` is where those who call put what they ask."""
        self.keeps = keeps
        self.outbox = outbox
        self._loop = loop
        self._now: Callable[[], float] = monotonic
        self._close = close
        self._kept: list[Awaited] = []
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._kept)

    def take(self) -> Awaited | None:
        """The connection that came back last and is still open and clean, if there is one that is not too old."""
        while self._kept:
            newest = self._kept[-1]
            if self._now() - newest.since > self.keeps:
                return None  # so are all others
            self._kept.pop()
            if newest.is_open() and newest.is_quiet:  # it was when it was kept
                return newest
            self.close(newest)
        return None

    def keep(self, connection: Awaited) -> bool:
        """Have it for whoever comes next; False if it is not clean, gone, or one too many."""
        if connection.transport is None or not connection.is_clean() or len(self._kept) >= MOST:
            return False
        connection.is_quiet = True
        connection.since = self._now()
        self._kept.append(connection)
        if self._timer is None:
            self._timer = self._loop.call_later(self.keeps, self._sweep)
        return True

    def close(self, connection: Awaited) -> None:
        """End a connection of this address, idle or not."""
        protocol, connection.protocol = connection.protocol, None
        if protocol is not None:
            self._close(protocol)

    def _sweep(self) -> None:
        """Close those that are too old, which are the first ones; some at once, as closing takes time."""
        eldest, oldest = self._now() - self.keeps, 0
        while oldest < len(self._kept) and self._kept[oldest].since < eldest:
            oldest += 1
        old = self._kept[: min(oldest, _AT_ONCE)]
        del self._kept[: len(old)]
        for connection in old:
            self.close(connection)
        self._timer = None
        if self._kept:
            self._timer = self._loop.call_later(_SOON if oldest > len(old) else self.keeps, self._sweep)

    def end(self) -> None:
        """Whoever closes the connections has closed them."""
        self._kept.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
