"""Answers that are read while they come."""

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from gatewayd_sdk._asyncio.transport import Body
from gatewayd_sdk._core.chat import Transcript, check_events
from gatewayd_sdk._core.exchange import Opened
from gatewayd_sdk._core.headers import Headers
from gatewayd_sdk._core.records import Told, Usage
from gatewayd_sdk._core.results import ChatAnswer, ChatEvent
from gatewayd_sdk._core.sse import Event, EventDecoder


class AsyncResponseStream(Told):
    """The answer of any route, while it comes. Use it as a context manager, or close it.

    Iterating gives server-sent events, and raises APIResponseError for an answer that is none of them; `iter_bytes`
    and `read` give any body. What was read is not given again. A body that broke off raises APIConnectionError.
    """

    def __init__(self, opened: Opened[Body]) -> None:
        self.raw = opened.answer
        self._body = opened.handle

    @property
    def status(self) -> int:
        return self.raw.status

    @property
    def headers(self) -> Headers:
        return self.raw.headers

    async def iter_bytes(self) -> AsyncIterator[bytes]:
        """The body, in pieces as they arrive."""
        while data := await self._body.read():
            yield data

    async def read(self) -> bytes:
        """What is left of the body."""
        return b"".join([piece async for piece in self.iter_bytes()])

    async def __aiter__(self) -> AsyncIterator[Event]:
        check_events(self.raw)
        decoder = EventDecoder()
        while data := await self._body.read():
            for event in decoder.feed(data):
                yield event

    async def close(self) -> None:
        """Ends it; an agent that was not done stops working."""
        self._body.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class AsyncChatStream(Told):
    """A chat answer while it comes: an iterator over its events. Use it as a context manager, or close it.

    Raises APIConnectionError when it breaks off, also between two events: an answer is whole only if iterating ended.
    """

    def __init__(self, opened: Opened[Body]) -> None:
        self.raw = opened.answer
        self._body = opened.handle
        try:
            self._transcript = Transcript(opened.answer)
        except BaseException:
            self._body.close()
            raise
        self._events = self._read()

    async def _read(self) -> AsyncIterator[ChatEvent]:
        try:
            while data := await self._body.read():
                for event in self._transcript.feed(data):
                    yield event
            self._transcript.end()
        except BaseException:
            self._body.close()
            raise

    @property
    def text(self) -> str:
        """The answer as far as it has come."""
        return self._transcript.text

    @property
    def usage(self) -> Usage:
        """What the call took; the agent's own details come with the last event."""
        return self._transcript.usage

    async def result(self) -> ChatAnswer:
        """Reads the rest, and gives the answer as it would have come without `stream`."""
        async for _ in self:
            pass
        return self._transcript.result()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ChatEvent:
        return await anext(self._events)

    async def close(self) -> None:
        """Ends it; an agent that was not done stops working."""
        self._body.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
