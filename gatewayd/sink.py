"""Lines on their way out, written by a thread so that no loop ever waits for a disk or for who reads them."""

import asyncio
import logging
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Final

from gatewayd.outlets import LinesLost, open_outlet

logger = logging.getLogger(__name__)

CAPACITY: Final = 100_000
"""Lines that wait; a sink so far behind drops the newest and says how many."""
PATIENCE: Final = 5.0
"""Seconds that `close` waits for a slow sink."""
_GATHER: Final = 0.02  # seconds that lines are gathered for one write

Notice = Callable[[int], bytes]
_Errand = Callable[[], None]


class LineSink:
    """Takes lines from one event loop. Bounded: what does not fit is dropped and counted, never waited for.

    Lines are gathered in a list of the loop's own, which goes to the thread as a whole, as one of its errands.
    """

    def __init__(
        self, target: str, *, name: str = "", capacity: int = CAPACITY, notice: Notice = lambda _lost: b""
    ) -> None:
        """`target` is what `open_outlet` takes; `notice` makes the line that says how many lines are missing there.

        Raises OSError if it cannot be opened.
        """
        self._outlet = open_outlet(target, name=name)
        self._target = target
        self.name = name
        self._notice = notice
        self._capacity = capacity
        self._lines: list[bytes] = []
        self._errands: SimpleQueue[_Errand | None] = SimpleQueue()  # bounded, as the lines are; None is the last
        self._handed = 0  # lines that went to the thread
        self._flush: asyncio.TimerHandle | None = None
        self.overflowed = 0  # lines that found no room
        # The thread's own; the loop only reads.
        self.lost = 0  # lines that could not be written
        self._begun = 0  # of those that were handed over
        self._told = 0  # of those that were dropped, how many the sink itself knows of
        self._in_hand = 0
        self._failing = False
        self._scribe = threading.Thread(target=self._write_on, name="log sink", daemon=True)
        self._scribe.start()

    @property
    def dropped(self) -> int:
        """Lines that were taken and not written, or not even taken."""
        return self.overflowed + self.lost

    @property
    def waiting(self) -> int:
        """Lines that were taken and that the thread has not begun to write."""
        return len(self._lines) + self._handed - self._begun

    def write(self, line: bytes) -> None:
        """Take a line with its newline; it is written within some milliseconds."""
        if self.waiting >= self._capacity:
            if not self.overflowed:
                logger.warning("the %s log is too slow, its lines are dropped while it is", self.name)
            self.overflowed += 1
            return
        self._lines.append(line)
        if self._flush is None:
            self._flush = asyncio.get_running_loop().call_later(_GATHER, self._hand_over)

    def reopen(self) -> None:
        """What was taken so far still goes where it was going; from then on, to what has the target's name now."""
        self._pass_on()
        self._errands.put(self._reopen)

    def _hand_over(self) -> None:
        self._flush = None
        self._pass_on()

    def _pass_on(self) -> None:
        if lines := self._lines:
            self._lines = []
            self._handed += len(lines)
            self._errands.put(partial(self._write, lines))

    async def close(self) -> None:
        """Write what was taken, then close. Takes at most PATIENCE seconds, however slow the sink."""
        if self._flush is not None:
            self._flush.cancel()
        self._pass_on()
        self._errands.put(None)
        await asyncio.get_running_loop().run_in_executor(None, self._scribe.join, PATIENCE)
        if dropped := self.dropped + self.waiting + self._in_hand:
            logger.warning("the %s log was too slow or failed: %d lines were dropped", self.name, dropped)

    def _write_on(self) -> None:
        while (errand := self._errands.get()) is not None:
            errand()
        self._outlet.close()

    def _write(self, lines: list[bytes]) -> None:
        self._in_hand = len(lines)
        self._begun += len(lines)
        self._put_out(lines)
        self._in_hand = 0

    def _put_out(self, lines: list[bytes]) -> None:
        if missing := self.dropped - self._told:
            lines = [self._notice(missing), *lines]
        try:
            self._outlet.write(lines)
        except LinesLost as lost:
            self.lost += min(lost.count, self._in_hand)
            if not self._failing:
                logger.warning("the %s log %s cannot be written: %s", self.name, self._target, lost)
            self._failing = True
            return
        self._told += missing
        self._failing = False
        if missing:
            logger.warning("the %s log is written again, %d lines were dropped", self.name, missing)

    def _reopen(self) -> None:
        try:
            self._outlet.reopen()
        except OSError as error:
            logger.error("the %s log %s cannot be opened again: %s", self.name, self._target, error.strerror)  # noqa: TRY400
