"""The body of an agent's answer as it comes: it ends whole, or says why it did not."""

import asyncio

from aiohttp import ClientConnectionError, ClientPayloadError
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from gatewayd.edge.whole import WholeBody
from gatewayd.errors import Refusal, UpstreamProtocol, UpstreamReset, UpstreamTimeout
from gatewayd.proxy.answer import AnswerHead
from gatewayd.proxy.connector import AgentProtocol
from gatewayd.proxy.whole import Whole
from gatewayd.trailers import Fields


def taken(reader: StreamReader, protocol: BaseProtocol) -> bytes:
    """What is in a stream that has ended. Raises what it was failed with.

    As `read_nowait`, which feeds the parser and resumes the socket each time, though nothing was ever paused.
    """
    if reader is EMPTY_PAYLOAD:
        return b""
    if isinstance(reader, WholeBody):
        return reader.take()
    if protocol._reading_paused or reader.exception() is not None:  # noqa: SLF001
        return reader.read_nowait()
    pieces = reader._buffer  # noqa: SLF001
    data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    pieces.clear()
    return data


def body_of(reader: StreamReader, protocol: AgentProtocol, head: AnswerHead) -> "Body | Whole":
    """The body of an answer whose head has just come."""
    if reader is EMPTY_PAYLOAD and not head.chunked:
        protocol.forget()
        return Whole(b"")
    if head.length is not None and reader.is_eof() and reader.exception() is None:
        protocol.forget()
        return Whole(taken(reader, protocol))
    return Body(reader, protocol, chunked=head.chunked, until_close=head.ends_with_connection)


class Body:
    """Read it to its end, or `fail` it. Mutable: it is a stream, and it watches its connection until `detach`.

    `until_close`: its end is the end of the connection, so a connection that was reset cut it off.
    """

    __slots__ = ("_chunked", "_closed", "_protocol", "_reader", "_until_close")

    def __init__(self, reader: StreamReader, protocol: AgentProtocol, *, chunked: bool, until_close: bool) -> None:
        self._reader = reader
        self._protocol = protocol
        self._chunked = chunked
        if chunked:
            protocol.spend()
            reader.on_eof(protocol.stop_listening)
        else:
            protocol.forget()
        self._until_close = until_close
        self._closed = None if reader.is_eof() else protocol.closed
        if self._closed is not None:
            self._closed.add_done_callback(self._on_close)

    @property
    def is_whole(self) -> bool:
        """Whether all of it has come, taken or not."""
        return self._reader.is_eof() and not self._is_cut_off

    @property
    def at_end(self) -> bool:
        """Whether all of it has come and was taken."""
        return self._reader.at_eof() and not self._is_cut_off

    @property
    def _is_cut_off(self) -> bool:
        return self._until_close and isinstance(self._protocol.exception(), OSError)

    def take(self) -> bytes:
        """What is there now."""
        return self._reader.read_nowait()

    async def read(self, idle: float) -> bytes:
        """The next piece, waiting up to `idle` seconds for it (0: for ever); empty at the end.

        What came before a break is given out first. Raises UpstreamReset if it broke off, UpstreamProtocol if its
        framing is not valid, UpstreamTimeout if it stopped coming, and whatever it was failed with.
        """
        reader = self._reader
        if reader.exception() is not None and (rest := reader._read_nowait(-1)):  # noqa: SLF001  # no public way
            return rest
        if not reader.is_eof() and not self._protocol.connected:
            raise self._reason()
        clock = asyncio.get_running_loop().call_later(idle, self._be_silent) if idle else None
        try:
            data = await reader.readany()
        except (ClientPayloadError, ClientConnectionError):
            raise self._reason() from None
        finally:
            if clock is not None:
                clock.cancel()
        if not data and self._is_cut_off:
            raise self._reason()
        return data

    def trailers(self) -> Fields:
        """What came behind the last chunk, once all of it was taken. Raises UpstreamProtocol if that cannot be read."""
        if not self._chunked:
            return []
        try:
            return self._protocol.trailers()
        except Refusal:
            self._protocol.force_close()  # what it sends next is not to be trusted either
            raise UpstreamProtocol("The agent's trailer section is not valid or too large.") from None

    def fail(self, refusal: Refusal) -> None:
        """Tell the reader that the rest will not come, and why; nothing happens if it is all here."""
        if not self._reader.is_eof():
            self._reader.set_exception(refusal)

    def _be_silent(self) -> None:
        """Nothing came in time; a loop that stood still hears at once that time is over and what came meanwhile."""
        if not self._reader._buffer:  # noqa: SLF001  # no public way
            self.fail(UpstreamTimeout("The agent stopped in the middle of its answer."))

    def detach(self) -> None:
        """Watch the connection no longer: it goes on to serve somebody else."""
        self._protocol.forget()
        if self._closed is not None:
            self._closed.remove_done_callback(self._on_close)
            self._closed.remove_done_callback(_look)
            self._closed.add_done_callback(_look)

    def _on_close(self, closed: asyncio.Future[None]) -> None:
        """A parser that gives up tells the queue of heads and closes, but never tells the body that it was in."""
        _look(closed)
        if self._reader.exception() is None:
            self.fail(self._reason())

    def _reason(self) -> Refusal:
        if isinstance(failure := self._reader.exception(), Refusal):
            return failure
        garbled = isinstance(self._protocol.exception(), HttpProcessingError)
        return UpstreamProtocol("The agent's body is not framed as it should be.") if garbled else UpstreamReset()


def _look(closed: asyncio.Future[None]) -> None:
    """An error that nobody looks at would be reported as forgotten."""
    if not closed.cancelled():
        closed.exception()
