"""A ledger in one file without a thread of its own: how long its commits take is a matter of a seed."""

import asyncio
import random
import sqlite3
from collections.abc import Callable
from typing import Final

from gatewayd.stores.sqlite import schema
from gatewayd.stores.sqlite.committer import Answer, Work

SLOWEST_SECONDS: Final = 0.002


class Unthreaded:
    """See `committer.Committer`. Who leaves before a commit undoes it; who leaves after it, nothing."""

    def __init__(
        self,
        chance: random.Random,
        connection: sqlite3.Connection,
        release: Callable[[], None],
        *,
        name: str,
        check: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._check = check
        self._release: Callable[[], None] | None = release
        self._chance = chance

    async def change(self, work: Work[Answer]) -> Answer:
        await self._pass()
        with schema.transaction(self._connection):
            answer = work(self._connection)
            self._check()
        await self._pass()
        return answer

    async def inquire(self, work: Work[Answer]) -> Answer:
        await self._pass()
        with schema.snapshot(self._connection):
            answer = work(self._connection)
        await self._pass()
        return answer

    async def close(self) -> None:
        release, self._release = self._release, None
        if release is not None:
            release()

    async def _pass(self) -> None:
        await asyncio.sleep(self._chance.random() * SLOWEST_SECONDS)
