"""Lines on their way to a file or to standard output, written by a thread so that no loop ever waits for a disk."""

import asyncio
import errno
import logging
import os
import select
import sys
import threading
from collections import deque
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

CAPACITY: Final = 100_000
"""Lines that wait; a sink so far behind drops the newest and says how many."""
PATIENCE: Final = 5.0
"""Seconds that `close` waits for a slow sink."""
_GATHER: Final = 0.02  # seconds that lines are gathered for one write


class LineSink:
    """Takes lines from one event loop. Bounded: what does not fit is dropped and counted, never waited for."""

    def __init__(self, target: str, *, capacity: int = CAPACITY) -> None:
        """`target` is a path, or "-" for standard output. Raises OSError if it cannot be opened."""
        self._fd = _open(target)
        self._capacity = capacity
        self._lines: deque[bytes] = deque()
        self._wake = threading.Event()
        self._closing = False
        self._flush: asyncio.TimerHandle | None = None
        self._overflowed = 0
        # The thread's own; the loop only reads.
        self._lost = 0
        self._in_hand = 0
        self._torn = False
        self._failing = False
        self._thread = threading.Thread(target=self._write_on, name="log sink", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Lines that were taken and not written, or not even taken."""
        return self._overflowed + self._lost

    def write(self, line: bytes) -> None:
        """Take a line with its newline; it is written within some milliseconds."""
        if len(self._lines) >= self._capacity:
            self._overflowed += 1
            return
        self._lines.append(line)
        if self._flush is None:
            self._flush = asyncio.get_running_loop().call_later(_GATHER, self._hand_over)

    def _hand_over(self) -> None:
        self._flush = None
        self._wake.set()

    async def close(self) -> None:
        """Write what was taken, then close. Takes at most PATIENCE seconds, however slow the sink."""
        if self._flush is not None:
            self._flush.cancel()
        self._closing = True
        self._wake.set()
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join, PATIENCE)
        if dropped := self.dropped + len(self._lines) + self._in_hand:
            logger.warning("the log sink was too slow or failed: %d lines were dropped", dropped)

    def _write_on(self) -> None:
        closing = False
        while not closing:
            self._wake.wait()
            self._wake.clear()
            closing = self._closing
            self._in_hand = len(self._lines)
            self._write_all(b"".join([self._lines.popleft() for _ in range(self._in_hand)]))
            self._in_hand = 0
        os.close(self._fd)

    def _write_all(self, data: bytes) -> None:
        # What follows a line that was cut off begins on a line of its own, or it would be lost with it.
        rest = memoryview(b"\n" + data if self._torn and data else data)
        try:
            while rest:
                written = self._write(rest)
                self._torn = rest[written - 1] != ord("\n") if written else self._torn
                rest = rest[written:]
        except OSError as error:
            self._lost += bytes(rest).count(b"\n")
            if not self._failing:
                logger.warning("log lines cannot be written: %s", error.strerror)
            self._failing = True
        else:
            self._failing = False

    def _write(self, data: memoryview) -> int:
        """How much was written. Whoever shares our standard output may have made it non-blocking."""
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            room = select.poll()  # select() knows no descriptor above 1023, and a gateway has many
            room.register(self._fd, select.POLLOUT)
            room.poll()
            return 0


def _open(target: str) -> int:
    if target != "-":
        return os.open(Path(target), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
    if sys.stdout is None:  # python's own sign that it was started with it closed
        raise OSError(errno.EBADF, "standard output is closed")
    return os.dup(sys.stdout.fileno())
