"""Connections to agents: aiohttp's, but each hears to the end, and remembers it, and waits in a stack of ours."""

import asyncio
import os
from collections.abc import Awaitable
from functools import partial
from secrets import token_hex
from typing import Any, Final, cast
from weakref import WeakValueDictionary

from aiohttp import ClientRequest, ClientTimeout
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import TCPConnector
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD, EofStream

from gatewayd.build import stays_python
from gatewayd.outbox import Outbox
from gatewayd.proxy.awaited import Awaited
from gatewayd.proxy.idle import Idle
from gatewayd.trailers import LONGEST, Fields, heard, section

_READ: Final = 64 * 1024
_MAX_FIELD: Final = 32 * 1024
_MAX_FIELDS: Final = 256
_NO_TIMEOUT: Final = ClientTimeout()
_LAST_READS: Final = 4
_REASON: Final = token_hex(8)
"""Which no agent can know."""
_ONE_MORE: Final = f"HTTP/1.1 200 {_REASON}\r\nContent-Length: 0\r\n\r\n".encode()
_BODILESS: Final = frozenset((204, 304, *range(100, 200)))


@stays_python
class AgentProtocol(ResponseHandler):
    """One connection to an agent. The last bytes of an answer are kept while it may turn out to have trailers."""

    _last = b""
    _at_once = _READ

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.awaited = Awaited(loop, self)
        self.data_received = self.awaited.hear  # type: ignore[method-assign]  # what is plain does not come by here

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.awaited.transport = self.transport

    def prepare(self, *, bodiless: bool) -> None:
        """Have a parser for the answer that is expected now; `bodiless` for HEAD's."""
        self.set_response_params(
            skip_payload=bodiless,
            read_until_eof=True,
            auto_decompress=False,
            read_timeout=0.0,
            read_bufsize=_READ,
            max_line_size=_MAX_FIELD,
            max_field_size=_MAX_FIELD,
            max_headers=_MAX_FIELDS,
        )

    def is_between_answers(self) -> bool:
        """Whether its parser was given nothing behind the last answer: it is given one more, and has to find just that.

        A part of a head that an agent said too much would begin the next caller's answer.
        """
        if self._parser is None:
            return True
        try:
            found, _, rest = self._parser.feed_data(_ONE_MORE)
        except HttpProcessingError:
            return False
        return [message.reason for message, _ in found] == [_REASON] and not rest

    def spend(self) -> None:
        """The next answer gets a new parser: behind a chunked one, aiohttp's takes its trailers for the next head."""
        self.awaited.parses_on = False

    def stop_listening(self) -> None:
        """What comes now belongs to no answer."""
        self.awaited.is_listening = False

    def forget(self) -> None:
        """There will be no trailers to ask for."""
        self.awaited.is_listening = False
        self._last = b""

    def trailers(self) -> Fields:
        """The trailer fields of the chunked answer that has just ended. Raises what `section` raises."""
        return section(self._last)

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Aiohttp asks for it at the end of every body."""
        if resume_parser or self._reading_paused:
            super().resume_reading(resume_parser)

    def take(self) -> Any:
        """A parsed head that has come, with its body's reader. Raises what the call failed with."""
        buffer: Any = self._buffer  # whose entries are not what aiohttp's types say
        if not buffer:
            raise self._exception or EofStream
        found = buffer.popleft()[0]
        self.awaited.has_come = bool(buffer) or self._eof
        return found

    def feed_data(self, data: Any, size: int = 0) -> None:
        super().feed_data(data, size)  # who waits may be aiohttp's own client: identity providers are asked by it
        self.awaited.come()

    def force_close(self) -> None:
        self.awaited.is_quiet = False
        super().force_close()

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        self.awaited.is_quiet = False
        super().set_exception(exc, *cause)
        self.awaited.come(exc)

    def close(self) -> None:
        self.awaited.transport = None
        super().close()

    def abort(self) -> None:
        self.awaited.transport = None
        super().abort()

    def eof_received(self) -> None:
        """An agent that said its last word is not asked again."""
        self.force_close()
        super().eof_received()

    def hear(self, data: bytes) -> None:
        """What is no plain answer."""
        if self.awaited.is_listening:
            self._last = data if not self._last and len(data) <= LONGEST else heard(self._last, data)
        if self._parser is None or self._upgraded or self._payload_parser is not None or not data:
            super().data_received(data)
        else:
            self._parse(data, self._parser)

    def _parse(self, data: bytes, parser: Any) -> None:
        """As aiohttp does it, without a timeout for each read, which none of ours has."""
        try:
            messages, self._upgraded, tail = parser.feed_data(data)
        except Exception as error:  # whatever a parser raises, what it was given is no HTTP
            if self.transport is not None:
                self.transport.close()
            self.set_exception(HttpProcessingError(), error)
            return
        for message, payload in messages:
            if message.should_close:
                self._should_close = True
            self._payload = payload
            bodiless = self._skip_payload or message.code in _BODILESS
            found: Any = (message, EMPTY_PAYLOAD if bodiless else payload)
            self.feed_data(found)
        if tail and self._upgraded:
            super().data_received(tail)

    def connection_lost(self, exc: BaseException | None) -> None:
        if isinstance(exc, OSError):
            self._hear_last_words()
        self.awaited.end()
        super().connection_lost(exc)

    def _hear_last_words(self) -> None:
        """An agent that answers an upload early and closes makes our next write fail, and the loop read no more.

        The answer has come, though, and the socket is open until its protocol knows that it is lost.
        """
        transport = self.transport
        if transport is None or transport.get_extra_info("sslcontext") is not None:
            return
        try:
            for _ in range(_LAST_READS):
                if not (data := os.read(transport.get_extra_info("socket").fileno(), self._at_once)):
                    return
                self.data_received(data)
        except OSError:
            return


@stays_python
class Address:
    """An agent's host, port and TLS, for all who call there: what is idle, and how a connection is made."""

    __slots__ = ("__weakref__", "idle")

    def __init__(self, idle: Idle) -> None:
        self.idle = idle


@stays_python
class AgentConnector(TCPConnector):
    """aiohttp's connections, of our kind; those for `dial` are kept for each other by an `Address` of ours."""

    def __init__(self, *, keepalive_timeout: float, **options: Any) -> None:
        super().__init__(keepalive_timeout=keepalive_timeout, **options)
        self._outbox = Outbox(self._loop)
        self._keeps = keepalive_timeout
        self._addresses: WeakValueDictionary[ConnectionKey, Address] = WeakValueDictionary()
        self._factory = partial(AgentProtocol, loop=self._loop)  # type: ignore[assignment]  # its kind

    def address(self, key: ConnectionKey) -> Address:
        """The one Address of this key, as long as somebody has it. Its connections are closed after that."""
        if (known := self._addresses.get(key)) is None:
            close = partial(self._release, key, should_close=True)
            known = self._addresses[key] = Address(Idle(self._loop, self._keeps, self._outbox, close))
        return known

    async def dial(self, request: ClientRequest) -> Awaited:
        """A new connection. It counts as acquired until the `idle` of its address closes it."""
        connection = await self.connect(request, [], _NO_TIMEOUT)
        protocol, connection._protocol = connection.protocol, None  # noqa: SLF001  # or it would close it, being dropped
        return cast("AgentProtocol", protocol).awaited

    def _close(self, *, abort_ssl: bool = False) -> list[Awaitable[object]]:
        """All of them, idle or not; whoever still has one finds it closed."""
        for address in self._addresses.values():
            address.idle.end()
        return super()._close(abort_ssl=abort_ssl)
