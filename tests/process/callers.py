"""Callers who come all the time, and what they met."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from tests.process.reloads import bearer

PATH = "/api/email/process"


class Callers:
    """Some with a connection that stays, some with a new one each time. Mutable: what they met gathers."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.met: Counter[str] = Counter()
        self.over = False
        self._tasks: list[asyncio.Task[None]] = []

    def come(self) -> None:
        """Three of the one kind, and one of the other, until they leave."""
        self._tasks = [asyncio.create_task(each) for each in (*(self.stay() for _ in range(3)), self.come_and_go())]

    async def leave(self) -> None:
        """Each after the answer that it waits for."""
        self.over = True
        await asyncio.gather(*self._tasks)

    async def stay(self) -> None:
        async with aiohttp.ClientSession(self._url, headers=bearer()) as session:
            while not self.over:
                await self._call(session)

    async def come_and_go(self) -> None:
        while not self.over:
            async with aiohttp.ClientSession(self._url, headers=bearer()) as session:
                await self._call(session)

    async def _call(self, session: aiohttp.ClientSession) -> None:
        try:
            async with session.get(PATH) as response:
                await response.read()
                self.met[str(response.status)] += 1
        except aiohttp.ClientError as error:
            self.met[repr(error)] += 1
        await asyncio.sleep(0.002)


@asynccontextmanager
async def calling(url: str) -> AsyncIterator[Callers]:
    callers = Callers(url)
    callers.come()
    try:
        yield callers
    finally:
        await callers.leave()
