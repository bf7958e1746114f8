"""One thread that owns a connection: it gathers what was submitted, commits it as one, tells the loop."""

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from gatewayd.errors import StoreUnavailable

logger = logging.getLogger(__name__)

Work = TypeVar("Work")
Answer = object | Exception

CAPACITY: Final = 16_384
BATCH: Final = 1_024
RETRY_SECONDS: Final = 0.2
LAST_TRIES: Final = 25


@dataclass(frozen=True, slots=True, eq=False)
class Submission(Generic[Work]):
    """Work and who waits for it. What is `kept` is retried until it is written; other work fails at once."""

    work: Work
    future: asyncio.Future[Any]
    kept: bool


class Writer(Generic[Work]):
    """Group commit. Mutable: the queue between two threads is its purpose.

    `commit` does all of a batch in one transaction and returns an answer for each (or the work's own fault,
    as an exception); when it raises, none of it was done. It runs on the thread, as does `release`, last.

    Used from one event loop. Beyond `capacity` the queue refuses work; kept work is always taken, and bounded
    because it follows work that was granted, of which there is no more while any kept work waits.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[Work]], Sequence[Answer]],
        release: Callable[[], None],
        *,
        name: str,
        capacity: int = CAPACITY,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._commit = commit
        self._release = release
        self._name = name
        self._capacity = capacity
        self._retry_seconds = retry_seconds
        self._queue: queue.SimpleQueue[Submission[Work] | None] = queue.SimpleQueue()
        self._pending = 0
        self._loop: asyncio.AbstractEventLoop
        self._closed: asyncio.Future[None] | None = None
        # The thread's own; the loop only reads whether `_kept` is empty.
        self._kept: list[Submission[Work]] = []
        self._stopping = False
        self._down = False
        # A daemon thread: a process that ends without `close` must not wait for it.
        threading.Thread(target=self._run, name="ledger-writer", daemon=True).start()

    @property
    def pending(self) -> int:
        """Submitted and not yet committed or refused."""
        return self._pending

    def submit(self, work: Work, *, kept: bool = False) -> asyncio.Future[Any]:
        """Queue the work; the future has its answer after the commit, or StoreUnavailable. Never blocks."""
        self._loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = self._loop.create_future()
        if self._closed or (not kept and (self._kept or self._pending >= self._capacity)):
            future.set_exception(StoreUnavailable())
        else:
            self._pending += 1
            self._queue.put(Submission(work, future, kept))
        if kept:
            future.add_done_callback(_look)
        return future

    async def close(self) -> None:
        """Write what was submitted, or say how much could not be, and end the thread. May be called again."""
        if self._closed is None:
            self._loop = asyncio.get_running_loop()
            self._closed = self._loop.create_future()
            self._queue.put(None)
        await asyncio.shield(self._closed)

    def _run(self) -> None:
        tries = LAST_TRIES
        while tries:
            if batch := self._gather():
                self._write(batch)
            if self._stopping:
                tries = tries - 1 if self._kept else 0
        self._end()

    def _gather(self) -> list[Submission[Work]]:
        """What was kept, in its order, then what is queued; waits for the first, or for the next retry."""
        batch = list(self._kept)
        timeout = self._retry_seconds if batch else None
        for _ in range(BATCH):
            try:
                entry = self._queue.get(timeout=timeout)
            except queue.Empty:
                break
            if entry is None:
                self._stopping = True
                break
            batch.append(entry)
            timeout = 0
        return batch

    def _write(self, batch: Sequence[Submission[Work]]) -> None:
        try:
            answers = self._commit([submission.work for submission in batch])
        except Exception as error:
            self._fail(batch, error)
            return
        self._kept = []
        if self._down:
            self._down = False
            logger.warning("%s can be written again", self._name)
        self._tell(list(zip(batch, answers, strict=True)))

    def _fail(self, batch: Sequence[Submission[Work]], error: Exception) -> None:
        if not self._down:
            self._down = True
            # The driver's errors say all there is to say; anything else is a fault of ours.
            trace = None if isinstance(error, sqlite3.Error) else error
            logger.error("%s cannot be written (%s): callers with a quota get 503", self._name, error, exc_info=trace)
        self._kept = [submission for submission in batch if submission.kept]
        self._refuse(submission for submission in batch if not submission.kept)

    def _end(self) -> None:
        if self._kept:
            logger.error("%s: %d settlements could not be written before the stop", self._name, len(self._kept))
        self._refuse(self._kept)
        try:
            self._release()
        finally:
            self._call(self._finish)

    def _refuse(self, submissions: Iterable[Submission[Work]]) -> None:
        self._tell([(submission, StoreUnavailable()) for submission in submissions])

    def _tell(self, answers: Sequence[tuple[Submission[Work], Answer]]) -> None:
        if answers:
            self._call(self._deliver, answers)

    def _call(self, callback: Callable[..., None], *arguments: object) -> None:
        # A loop that was closed without `close` has nobody left who waits.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *arguments)

    def _deliver(self, answers: Sequence[tuple[Submission[Work], Answer]]) -> None:
        self._pending -= len(answers)
        for submission, answer in answers:
            if submission.future.done():
                continue
            if isinstance(answer, Exception):
                submission.future.set_exception(answer)
            else:
                submission.future.set_result(answer)

    def _finish(self) -> None:
        if self._closed is not None:
            self._closed.set_result(None)


def _look(future: asyncio.Future[Any]) -> None:
    """Kept work need not be awaited, and asyncio complains of an exception that nobody looked at."""
    if not future.cancelled():
        future.exception()
