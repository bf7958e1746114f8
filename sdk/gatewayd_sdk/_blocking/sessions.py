"""A session with the support agent."""

from collections.abc import Iterator
from types import TracebackType
from typing import Self

from gatewayd_sdk._blocking.websocket import WebSocket
from gatewayd_sdk._core.exchange import Opened
from gatewayd_sdk._core.records import Told
from gatewayd_sdk._core.results import SupportMessage
from gatewayd_sdk._core.support import answer_in, ended, heard, said
from gatewayd_sdk._core.websocket import Closed


class SupportSession(Told):
    """A conversation over one WebSocket. Use it as a context manager, or close it.

    Iterating gives the agent's messages until the session ends. One caller receives at a time, any may send.
    """

    def __init__(self, opened: Opened[WebSocket]) -> None:
        self.raw = opened.answer
        self._socket = opened.handle

    def send(self, message: str) -> None:
        """Says something to the agent. Raises APIConnectionError if the session is over."""
        self._socket.send(said(message))

    def receive(self, timeout: float | None = None) -> SupportMessage:
        """The agent's next message.

        Raises APITimeoutError when none came in `timeout` seconds, after which the session goes on, and
        APIConnectionError when it is over.
        """
        message = self._socket.receive(timeout)
        if isinstance(message, Closed):
            raise ended(message)
        return heard(message)

    def ask(self, message: str, timeout: float | None = None) -> SupportMessage:
        """Says something and gives the answer to it; messages of other types are passed over.

        `timeout` is in seconds, for each message. Raises APIResponseError if the agent refuses what was said.
        """
        self.send(message)
        while not answer_in(heard_message := self.receive(timeout)):
            pass
        return heard_message

    def __iter__(self) -> Iterator[SupportMessage]:
        while not isinstance(message := self._socket.receive(None), Closed):
            yield heard(message)
        if not message.orderly:
            raise ended(message)

    def close(self) -> None:
        """Ends the session; does nothing to one that is over."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close(wait=error is None)
