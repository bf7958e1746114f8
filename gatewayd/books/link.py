"""A worker's line to its bookkeeper: kept up for as long as the worker lives, however often the other end dies."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, Final

from gatewayd.books.messages import Message, Messenger
from gatewayd.errors import StoreUnavailable

logger = logging.getLogger(__name__)

RETRY_SECONDS: Final = 0.05
ANSWER_SECONDS: Final = 3.0


class Link:
    """Says, asks and hears. Mutable: it connects again by itself, and calls `greet` each time that it has."""

    def __init__(
        self,
        path: Path,
        hear: Callable[[Message], None],
        greet: Callable[[], None],
        before: Callable[[], None],
    ) -> None:
        """`before` is done before anything is said: what was done until then is to be found in the journal."""
        self._path = path
        self._before = before
        self._hear = hear
        self._greet = greet
        self._messenger: Messenger | None = None
        self._numbers = count(1)
        self._questions: dict[int, asyncio.Future[Any]] = {}
        self._lost = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def up(self) -> bool:
        return self._messenger is not None

    async def start(self, patience: float) -> None:
        """Connect, waiting at most `patience` seconds for that, and keep connected from then on."""
        connected = asyncio.Event()
        self._keeper = asyncio.create_task(self._keep(connected), name="line to the bookkeeper")
        waiting = asyncio.ensure_future(connected.wait())
        await asyncio.wait({waiting}, timeout=patience)
        waiting.cancel()

    async def close(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})
        if self._messenger is not None:
            self._messenger.hang_up()
            self._messenger = None
        self._fail_questions()

    def say(self, *message: Any) -> None:
        """Send it; if nobody is there it is gone, and `greet` says all that matters once somebody is."""
        if self._messenger is not None:
            self._before()
            self._messenger.say(*message)

    async def ask(self, what: str, *details: Any) -> Any:
        """The bookkeeper's answer. Raises StoreUnavailable when there is none in time, at once if nobody is there."""
        if self._messenger is None:
            raise StoreUnavailable
        number = next(self._numbers)
        future = self._questions[number] = asyncio.get_running_loop().create_future()
        self.say("ask", number, what, *details)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await future
        except TimeoutError:
            raise StoreUnavailable from None
        finally:
            del self._questions[number]

    async def _keep(self, connected: asyncio.Event) -> None:
        while True:
            self._lost.clear()
            if (messenger := await self._connected()) is not None:
                self._messenger = messenger
                self._greet()
                connected.set()
                await self._lost.wait()
            await asyncio.sleep(RETRY_SECONDS)

    async def _connected(self) -> Messenger | None:
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            _, messenger = await loop.create_unix_connection(
                lambda: Messenger(self._heard, self._gone), str(self._path)
            )
            return messenger
        return None

    def _heard(self, _messenger: Messenger, message: Message) -> None:
        match message:
            case ["answer", number, value]:
                if (future := self._questions.get(number)) is not None and not future.done():
                    future.set_result(value)
            case ["unanswered", number]:
                if (future := self._questions.get(number)) is not None and not future.done():
                    future.set_exception(StoreUnavailable())
            case _:
                self._hear(message)

    def _gone(self, messenger: Messenger) -> None:
        if messenger is self._messenger:
            self._messenger = None
            self._fail_questions()
            self._lost.set()

    def _fail_questions(self) -> None:
        for future in self._questions.values():
            if not future.done():
                future.set_exception(StoreUnavailable())
