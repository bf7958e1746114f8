"""Answers that are read while they come."""

from collections.abc import Iterator
from types import TracebackType
from typing import Self

from gatewayd_sdk._blocking.transport import Body
from gatewayd_sdk._core.chat import Transcript, check_events
from gatewayd_sdk._core.exchange import Opened
from gatewayd_sdk._core.headers import Headers
from gatewayd_sdk._core.records import Told, Usage
from gatewayd_sdk._core.results import ChatAnswer, ChatEvent
from gatewayd_sdk._core.sse import Event, EventDecoder


class ResponseStream(Told):
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

    def iter_bytes(self) -> Iterator[bytes]:
        """The body, in pieces as they arrive."""
        while data := self._body.read():
            yield data

    def read(self) -> bytes:
        """What is left of the body."""
        return b"".join(self.iter_bytes())

    def __iter__(self) -> Iterator[Event]:
        check_events(self.raw)
        decoder = EventDecoder()
        while data := self._body.read():
            yield from decoder.feed(data)

    def close(self) -> None:
        """Ends it; an agent that was not done stops working."""
        self._body.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class ChatStream(Told):
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

    def _read(self) -> Iterator[ChatEvent]:
        try:
            while data := self._body.read():
                yield from self._transcript.feed(data)
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

    def result(self) -> ChatAnswer:
        """Reads the rest, and gives the answer as it would have come without `stream`."""
        for _ in self:
            pass
        return self._transcript.result()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ChatEvent:
        return next(self._events)

    def close(self) -> None:
        """Ends it; an agent that was not done stops working."""
        self._body.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
