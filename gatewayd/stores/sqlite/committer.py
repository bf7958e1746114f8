"""One thread that owns a connection: it gathers what was submitted, commits it as one, tells the loop."""

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from gatewayd.errors import StoreUnavailable
from gatewayd.stores.sqlite import schema

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")
Work = Callable[[sqlite3.Connection], Answer]

CAPACITY: Final = 1_024
BATCH: Final = 64


@dataclass(frozen=True, slots=True, eq=False)
class Submission:
    """Work and who waits for it; `does`: what it does to the database, `written` or `read`."""

    work: Work[object]
    future: asyncio.Future[Any]
    does: str


class Committer:
    """Group commit. Mutable: the queue between two threads is its purpose.

    All changes that wait are one transaction. If the database refuses, none of them was done and each of their
    callers is told, once: whoever still wants it asks again. Beyond `capacity` waiting works it refuses at once.
    Used from one event loop. `check` is asked before every commit, and may raise sqlite3.Error; `release` runs on
    the thread, last.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        release: Callable[[], None],
        *,
        name: str,
        check: Callable[[], None] = lambda: None,
        capacity: int = CAPACITY,
    ) -> None:
        self._connection = connection
        self._check = check
        self._release = release
        self._name = name
        self._capacity = capacity
        self._queue: queue.SimpleQueue[Submission | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._closed: asyncio.Future[None] | None = None
        self._down: set[str] = set()  # what cannot be done at present; the thread's own
        # A daemon thread: a process that ends without `close` must not wait for it.
        threading.Thread(target=self._run, name="ledger", daemon=True).start()

    async def change(self, work: Work[Answer]) -> Answer:
        """What the work answers once it is committed. Raises StoreUnavailable; a caller who leaves undoes nothing."""
        answer: Answer = await self._submit(work, "written")
        return answer

    async def inquire(self, work: Work[Answer]) -> Answer:
        """What the work finds, of one moment, after the changes submitted before it. Raises StoreUnavailable."""
        answer: Answer = await self._submit(work, "read")
        return answer

    async def close(self) -> None:
        """Do what was submitted, then end the thread and give up the database. May be called again."""
        if self._closed is None:
            self._closed = self._loop.create_future()
            self._queue.put(None)
        await asyncio.shield(self._closed)

    def _submit(self, work: Work[Any], does: str) -> asyncio.Future[Any]:
        if self._closed is not None or self._queue.qsize() >= self._capacity:
            raise StoreUnavailable
        future: asyncio.Future[Any] = self._loop.create_future()
        self._queue.put(Submission(work, future, does))
        return future

    def _run(self) -> None:
        going_on = True
        while going_on:
            batch, going_on = self._gather()
            self._commit([each for each in batch if each.does == "written"])
            for each in batch:
                if each.does == "read":
                    self._look_up(each)
        self._end()

    def _gather(self) -> tuple[list[Submission], bool]:
        """What waits, at least one, and whether more may come."""
        batch: list[Submission] = []
        entry = self._queue.get()
        while entry is not None:
            batch.append(entry)
            if len(batch) == BATCH or self._queue.empty():
                return batch, True
            entry = self._queue.get()
        return batch, False

    def _commit(self, batch: Sequence[Submission]) -> None:
        if not batch:
            return
        try:
            with schema.transaction(self._connection):
                answers = [each.work(self._connection) for each in batch]
                self._check()
        except sqlite3.Error as error:
            self._fail(batch, error)
        except Exception as fault:  # a fault of one of them: the others are done without it
            if len(batch) == 1:
                self._fail(batch, fault)
            else:
                for each in batch:
                    self._commit([each])
        else:
            self._succeed(batch, answers)

    def _look_up(self, inquiry: Submission) -> None:
        try:
            with schema.snapshot(self._connection):
                answer = inquiry.work(self._connection)
        except Exception as error:
            self._fail([inquiry], error)
        else:
            self._succeed([inquiry], [answer])

    def _succeed(self, batch: Sequence[Submission], answers: Sequence[object]) -> None:
        does = batch[0].does
        if does in self._down:
            self._down.remove(does)
            logger.warning("%s can be %s again", self._name, does)
        self._call(_deliver, batch, answers)

    def _fail(self, batch: Sequence[Submission], error: Exception) -> None:
        does = batch[0].does
        if not isinstance(error, sqlite3.Error):
            logger.error("%s: a fault of gatewayd's own", self._name, exc_info=error)
        elif does not in self._down:
            self._down.add(does)
            logger.error("%s cannot be %s (%s)%s", self._name, does, error, schema.mend(error))
        self._call(_deliver, batch, [StoreUnavailable() for _ in batch])

    def _end(self) -> None:
        try:
            self._release()
        finally:
            self._call(self._finish)

    def _finish(self) -> None:
        assert self._closed is not None
        self._closed.set_result(None)

    def _call(self, callback: Callable[..., None], *arguments: object) -> None:
        # A loop that was closed without `close` has nobody left who waits.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *arguments)


def _deliver(batch: Sequence[Submission], answers: Sequence[object]) -> None:
    for submission, answer in zip(batch, answers, strict=True):
        if submission.future.done():
            continue
        if isinstance(answer, StoreUnavailable):
            submission.future.set_exception(answer)
        else:
            submission.future.set_result(answer)
