"""The pool of connections to agents: aiohttp's, but each connection hears to the end, and remembers it."""

import asyncio
import os
from functools import partial
from time import monotonic
from typing import Any, Final, cast

from aiohttp import ClientRequest, ClientTimeout
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import TCPConnector
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD, EofStream

from gatewayd.bell import Bell
from gatewayd.build import stays_python
from gatewayd.outbox import Outbox
from gatewayd.proxy.awaited import Awaited
from gatewayd.proxy.plain import plain_answer
from gatewayd.trailers import LONGEST, Fields, heard, section

_READ: Final = 64 * 1024
_MAX_FIELD: Final = 32 * 1024
_MAX_FIELDS: Final = 256
_NO_TIMEOUT: Final = ClientTimeout()
_LAST_READS: Final = 4
_BODILESS: Final = frozenset((204, 304, *range(100, 200)))


@stays_python
class AgentProtocol(ResponseHandler):
    """One connection to an agent. The last bytes of an answer are kept while it may turn out to have trailers."""

    _last = b""
    _at_once = _READ

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.awaited = Awaited(loop)
        self._bell = Bell(loop)

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

    def arrival(self) -> Bell | None:
        """To be awaited before `take`; None if there is something to take already."""
        if self._buffer or self._eof:
            return None
        self._bell.arm()
        self._waiter = cast("asyncio.Future[None]", self._bell)
        return self._bell

    def take(self) -> Any:
        """A parsed head that has come, with its body's reader. Raises what the call failed with."""
        buffer: Any = self._buffer  # whose entries are not what aiohttp's types say
        if buffer:
            return buffer.popleft()[0]
        raise self._exception or EofStream

    def _wake(self) -> None:
        if (waiter := self._waiter) is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def force_close(self) -> None:
        self.awaited.is_quiet = False
        super().force_close()

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        self.awaited.is_quiet = False
        super().set_exception(exc, *cause)

    def data_received(self, data: bytes) -> None:
        awaited = self.awaited
        if awaited.is_unheard:
            awaited.is_unheard = False
            # Nothing of it is kept from the parser but what it need not know: where one message ends, another begins.
            if self._parser is not None and (answer := plain_answer(data)) is not None:
                awaited.is_listening = False
                awaited.answer = answer
                self._waiter = None
                self._bell.ring()
                return
        awaited.is_quiet = False
        if awaited.is_listening:
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
            self._buffer.append((found, 0))
            self._wake()
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
class AgentConnector(TCPConnector):
    """aiohttp's pool, of our connections."""

    def __init__(self, *, keepalive_timeout: float, **options: Any) -> None:
        super().__init__(keepalive_timeout=keepalive_timeout, **options)
        self.keeps = keepalive_timeout
        self._outbox = Outbox(self._loop)
        self._factory = partial(AgentProtocol, loop=self._loop)  # type: ignore[assignment]  # its kind

    def say(self, transport: asyncio.Transport, request: bytes) -> None:
        """Write a whole request with whatever else leaves in this turn of the loop."""
        self._outbox.speakers = len(self._acquired)
        self._outbox.put(transport, request)

    def idle(self, key: ConnectionKey) -> AgentProtocol | None:
        """The pooled connection that was used last, if it can be used at once: what `connect` gives, not awaited.

        `give_back` is to be called with it, as `release` or `close` are with a connection from `connect`.
        """
        if (pooled := self._conns.get(key)) is None:
            return None
        protocol, since = pooled[-1]
        transport = protocol.transport
        if transport is None or transport.is_closing() or monotonic() - since > self.keeps:
            return None
        pooled.pop()
        if not pooled:
            del self._conns[key]
        self._acquired.add(protocol)
        return cast("AgentProtocol", protocol)

    async def dial(self, request: ClientRequest) -> AgentProtocol:
        """What `connect` gives, to be given back in the same way."""
        connection = await self.connect(request, [], _NO_TIMEOUT)
        protocol, connection._protocol = connection.protocol, None  # noqa: SLF001  # or it would close it, being dropped
        return cast("AgentProtocol", protocol)

    def give_back(self, key: ConnectionKey, protocol: AgentProtocol, *, closes: bool = False) -> None:
        """Keep the connection for whoever comes next, or close it if it is not clean or is to be closed.

        aiohttp does the latter. It has nothing to do for the former but to look for somebody who waits for a
        connection, and there is nobody, since the pool has no limit.
        """
        awaited = protocol.awaited
        awaited.is_quiet = not closes and (awaited.is_quiet or not protocol.should_close)
        if not awaited.is_quiet or self._closed or self._cleanup_handle is None:
            self._release(key, protocol, should_close=closes)
            return
        self._acquired.discard(protocol)
        self._conns[key].append((protocol, monotonic()))
