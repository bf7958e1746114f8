"""One attempt over aiohttp."""

import asyncio
import ssl
from typing import Final

import aiohttp
from yarl import URL

from gatewayd_sdk._core.answers import Answer
from gatewayd_sdk._core.errors import APIConnectionError, APITimeoutError, ConfigurationError
from gatewayd_sdk._core.exchange import Fetch
from gatewayd_sdk._core.headers import Headers

_SKIPPED: Final = frozenset({"User-Agent", "Accept", "Accept-Encoding", "Content-Type"})


class AiohttpTransport:
    """Connections to one gateway, kept and reused; for one event loop, made when first used."""

    def __init__(self, base_url: str, *, proxy: str | None, tls: ssl.SSLContext | None, connections: int) -> None:
        self._base_url = base_url
        self._proxy = proxy
        self._tls = tls
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            raise ConfigurationError("the client is closed: make a new one")
        loop = asyncio.get_running_loop()
        if self._session is None:
            self._loop = loop
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections, ssl=True if self._tls is None else self._tls),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=_SKIPPED,
            )
        elif self._loop is not loop:
            raise ConfigurationError("the client belongs to another event loop: make one in each loop and process")
        return self._session

    async def fetch(self, fetch: Fetch) -> Answer:
        """The whole answer. Raises APITimeoutError or APIConnectionError; a cancelled call closes its connection."""
        session = self._open()
        url = URL(self._base_url + fetch.target, encoded=True)
        timeout = aiohttp.ClientTimeout(
            total=fetch.remaining, sock_connect=fetch.connect, sock_read=fetch.idle, ceil_threshold=float("inf")
        )
        try:
            async with session.request(
                fetch.method,
                url,
                data=fetch.body,
                headers=fetch.headers.as_dict(),
                timeout=timeout,
                allow_redirects=False,
                proxy=self._proxy,
            ) as response:
                body = await response.read()
                return Answer(response.status, Headers(response.headers.items()), body)
        except TimeoutError as error:
            raise APITimeoutError(f"no whole answer from {self._base_url} in time") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise APIConnectionError(
                f"no whole answer from {self._base_url}: {error or type(error).__name__}; is gatewayd running there?"
            ) from error

    async def close(self) -> None:
        """Closes all connections; the client cannot be used again."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await asyncio.shield(session.close())
