"""One attempt over aiohttp."""

import asyncio
import os
import ssl
from collections.abc import Awaitable
from functools import lru_cache
from typing import Final

import aiohttp
from yarl import URL

from gatewayd_sdk._asyncio.deadlines import Deadlines
from gatewayd_sdk._asyncio.uploads import Pieces
from gatewayd_sdk._asyncio.websocket import GOODBYE, WebSocket
from gatewayd_sdk._core.answers import MOST_OF_AN_ERROR, Answer, response_error
from gatewayd_sdk._core.errors import APIConnectionError, ConfigurationError
from gatewayd_sdk._core.exchange import Fetch, Opened
from gatewayd_sdk._core.failures import broken, late, untrusted
from gatewayd_sdk._core.frames import MOST_MESSAGE
from gatewayd_sdk._core.headers import Headers
from gatewayd_sdk._core.setup import Address
from gatewayd_sdk._core.uploads import Upload

_FAILURES: Final = (aiohttp.ClientError, OSError, ValueError)
_INHERITED: Final[list[object]] = []
"""What a fork left here of its parent. Never touched: a socket or an epoll that is closed here is the parent's too."""


class AiohttpTransport:
    """Connections to one gateway, kept and reused; for one event loop, made when first used."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._session: aiohttp.ClientSession | None = None
        self._deadlines: Deadlines
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = 0
        self._closed = False

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            raise ConfigurationError("the client is closed: make a new one")
        loop = asyncio.get_running_loop()
        if self._session is not None and self._process != os.getpid():
            _INHERITED.append(self._session)
            self._session = None
        if self._session is None:
            self._loop, self._process = loop, os.getpid()
            self._session, self._deadlines = self._make(), Deadlines(loop)
        elif self._loop is not loop:
            raise ConfigurationError("the client belongs to another event loop: make one in each loop")
        return self._session

    def _make(
        self, connector: aiohttp.BaseConnector | None = None, timeout: aiohttp.ClientTimeout | None = None
    ) -> aiohttp.ClientSession:
        address = self._address
        return aiohttp.ClientSession(
            connector=connector or aiohttp.TCPConnector(limit=address.connections, ssl=address.tls or True),
            connector_owner=connector is None,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=timeout or aiohttp.ClientTimeout(),
            proxy=None if address.proxy is None else address.proxy.url,
            middlewares=() if connector is None else (_refused,),
        )

    async def fetch(self, fetch: Fetch) -> Answer | Opened[object]:
        """As `Fetch` says. Raises APIConnectionError; a cancelled call closes its connection."""
        pieces = Pieces(fetch.body) if isinstance(fetch.body, Upload) else None
        session = self._open()
        if fetch.mode == "websocket":
            work = self._connect(fetch, session)
        else:
            work = (self._whole if fetch.mode == "whole" else self._head)(fetch, session, pieces)
        try:
            return await self._deadlines.within(fetch.remaining, work)
        except _FAILURES as error:
            if pieces is not None and pieces.failure is not None:
                raise pieces.failure from None
            raise failure(self._address, error) from error

    async def _whole(self, fetch: Fetch, session: aiohttp.ClientSession, pieces: Pieces | None) -> Answer:
        response = await self._send(fetch, session, pieces)
        body = await response.read()  # closes the connection when anything interrupts it
        return _head_of(response, body)

    def _send(
        self, fetch: Fetch, session: aiohttp.ClientSession, pieces: Pieces | None
    ) -> Awaitable[aiohttp.ClientResponse]:
        proxy = self._address.proxy
        return session.request(
            fetch.method,
            _url(self._address.base_url + fetch.target),
            data=fetch.body if pieces is None else pieces,
            headers=fetch.fields,
            timeout=_timeout(fetch.timeout.connect, fetch.timeout.idle),
            allow_redirects=False,
            proxy_headers=None if proxy is None else proxy.headers,
        )

    async def _head(
        self, fetch: Fetch, session: aiohttp.ClientSession, pieces: Pieces | None
    ) -> Answer | Opened[object]:
        response = await self._send(fetch, session, pieces)
        try:
            if 200 <= response.status < 300:
                return Opened(_head_of(response), Body(self._address, response))
            return await _error(response)
        except BaseException:
            response.close()
            raise

    async def _connect(self, fetch: Fetch, shared: aiohttp.ClientSession) -> Answer | Opened[object]:
        proxy = self._address.proxy
        # a session of its own, for it alone looks at refusals
        session = self._make(shared.connector, _timeout(fetch.timeout.connect, fetch.timeout.idle))
        try:
            connection = await session.ws_connect(
                _url(self._address.base_url + fetch.target),
                headers=fetch.fields,
                timeout=aiohttp.ClientWSTimeout(ws_receive=fetch.timeout.idle, ws_close=GOODBYE),
                max_msg_size=MOST_MESSAGE,
                proxy_headers=None if proxy is None else proxy.headers,
            )
        except _Refused as refused:
            return refused.answer
        except aiohttp.WSServerHandshakeError as error:
            answer = Answer(error.status, Headers(error.headers or {}))
            raise response_error("the answer to the opening handshake is none of a WebSocket", answer) from error
        finally:
            await session.close()  # not its connections: they are the other session's
        head = _head_of(connection._response)  # noqa: SLF001 - it is told nowhere else
        return Opened(head, WebSocket(self._address, connection, fetch.timeout.idle))

    async def close(self) -> None:
        """Closes all connections; the client cannot be used again."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None and self._process == os.getpid():
            self._deadlines.close()
            await asyncio.shield(session.close())


class Body:
    """The rest of an answer, as it comes."""

    def __init__(self, address: Address, response: aiohttp.ClientResponse) -> None:
        self._address = address
        self._response = response

    async def read(self) -> bytes:
        """What came next, b"" at the end. Raises APIConnectionError, and closes the connection then."""
        try:
            return await self._response.content.readany()
        except _FAILURES as error:
            self.close()
            raise failure(self._address, error) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closes the connection unless the body was read to its end: the agent stops working."""
        self._response.close()


class _Refused(Exception):
    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


async def _refused(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keeps what a refused opening handshake was told, which aiohttp's own error does not."""
    response = await handler(request)
    if response.status != 101:
        try:
            raise _Refused(await _error(response))
        finally:
            response.close()
    return response


async def _error(response: aiohttp.ClientResponse) -> Answer:
    """An answer that came in place of a stream, without what is too much of it."""
    body = bytearray()
    while len(body) < MOST_OF_AN_ERROR and (data := await response.content.readany()):
        body += data
    response.close()
    return _head_of(response, bytes(body))


def _head_of(response: aiohttp.ClientResponse, body: bytes = b"") -> Answer:
    return Answer(response.status, Headers(response.headers), body)


@lru_cache(maxsize=256)
def _url(text: str) -> URL:
    return URL(text, encoded=True)


@lru_cache(maxsize=64)
def _timeout(connect: float, idle: float) -> aiohttp.ClientTimeout:
    """Without a total: `Deadlines` end calls."""
    return aiohttp.ClientTimeout(total=None, sock_connect=connect, sock_read=idle, ceil_threshold=float("inf"))


def failure(address: Address, error: Exception) -> APIConnectionError:
    if isinstance(error, TimeoutError):
        return late(address.base_url)
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return untrusted(address.base_url, error)
    return broken(address.base_url, error)
