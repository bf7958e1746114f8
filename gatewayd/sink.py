"""Lines on their way to a file or to standard output, written by a thread so that no loop ever waits for a disk."""

import asyncio
import logging
import os
import sys
import threading
from collections import deque
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

_CAPACITY: Final = 100_000  # lines; a sink so far behind drops the newest and says how many
_GATHER: Final = 0.02  # seconds that lines are gathered for one write


class LineSink:
    """Takes lines from one event loop. Bounded: what does not fit is dropped and counted, never waited for."""

    def __init__(self, target: str) -> None:
        """`target` is a path, or "-" for standard output. Raises OSError if the file cannot be opened."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.dup(sys.stdout.fileno()) if target == "-" else os.open(Path(target), flags, 0o640)
        self._lines: deque[bytes] = deque()
        self._wake = threading.Event()
        self._closing = False
        self._flush: asyncio.TimerHandle | None = None
        self.dropped = 0
        self._thread = threading.Thread(target=self._write_on, name="log sink", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Take a line with its newline; it is written within some milliseconds."""
        if len(self._lines) >= _CAPACITY:
            self.dropped += 1
            return
        self._lines.append(line)
        if self._flush is None:
            self._flush = asyncio.get_running_loop().call_later(_GATHER, self._hand_over)

    def _hand_over(self) -> None:
        self._flush = None
        self._wake.set()

    async def close(self) -> None:
        """Write what was taken, then close. Takes at most five seconds, however slow the sink."""
        if self._flush is not None:
            self._flush.cancel()
        self._closing = True
        self._wake.set()
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join, 5.0)
        if self.dropped:
            logger.warning("the log sink was too slow: %d lines were dropped", self.dropped)

    def _write_on(self) -> None:
        closing = False
        while not closing:
            self._wake.wait()
            self._wake.clear()
            closing = self._closing
            self._write_all(b"".join([self._lines.popleft() for _ in range(len(self._lines))]))
        os.close(self._fd)

    def _write_all(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            self.dropped += data.count(b"\n")
            logger.warning("log lines could not be written: %s", error.strerror)
