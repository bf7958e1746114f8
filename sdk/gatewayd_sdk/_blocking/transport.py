"""One attempt over urllib3."""

import os
import ssl
import threading
import time
from typing import Any, Final

import urllib3
from urllib3.exceptions import EmptyPoolError, HTTPError, NewConnectionError, SSLError
from urllib3.exceptions import TimeoutError as Urllib3Timeout

from gatewayd_sdk._blocking.connections import Connection, SecureConnection, with_small_calls
from gatewayd_sdk._blocking.handshake import connect
from gatewayd_sdk._blocking.reading import Silence
from gatewayd_sdk._blocking.uploads import pieces_of
from gatewayd_sdk._core.answers import MOST_OF_AN_ERROR, Answer
from gatewayd_sdk._core.errors import APIConnectionError, ConfigurationError
from gatewayd_sdk._core.exchange import Fetch, Opened
from gatewayd_sdk._core.failures import broken, crowded, late, untrusted
from gatewayd_sdk._core.headers import Headers
from gatewayd_sdk._core.setup import Address
from gatewayd_sdk._core.uploads import Upload

_PIECE: Final = 64 * 1024
_NO_RETRIES: Final = urllib3.Retry(total=False, redirect=False)
FAILURES: Final = (HTTPError, OSError, ValueError)


class Urllib3Transport:
    """Connections to one gateway, kept and reused; any thread may use it, and a forked child gets its own."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._lock = threading.Lock()
        self._pool: urllib3.HTTPConnectionPool | None = None
        self._process = os.getpid()
        self._closed = False
        # a proxy is asked for the whole URL
        self._prefix = address.base_url if address.proxy is not None and not address.secure else address.path

    def _open(self) -> urllib3.HTTPConnectionPool:
        if self._process != os.getpid():
            self._lock = threading.Lock()  # the parent's may be held by a thread that is not here
            self._pool, self._process = None, os.getpid()
        if (pool := self._pool) is not None:
            return pool
        with self._lock:
            if self._closed:
                raise ConfigurationError("the client is closed: make a new one")
            if self._pool is None:
                self._pool = self._make()
            return self._pool

    def _make(self) -> urllib3.HTTPConnectionPool:
        address = self._address
        options: dict[str, Any] = {"maxsize": address.connections, "block": True, "ssl_context": address.tls}
        if (proxy := address.proxy) is not None:
            manager: urllib3.PoolManager = urllib3.ProxyManager(proxy.url, proxy_headers=proxy.headers, **options)
        else:
            manager = urllib3.PoolManager(**options)
        return with_small_calls(manager.connection_from_url(address.base_url), address.host)

    def fetch(self, fetch: Fetch) -> Answer | Opened[object]:
        """As `Fetch` says. Raises APIConnectionError; an interrupted call closes its connection."""
        ends = None if fetch.remaining is None else time.monotonic() + fetch.remaining
        try:
            if fetch.mode == "websocket":
                self._open()
                return connect(self._address, fetch, ends)
            response = self._send(fetch, ends)
            headers = Headers(response.headers)
            if fetch.mode == "stream" and 200 <= response.status < 300:
                _goes_on(response, fetch.timeout.idle)
                return Opened(Answer(response.status, headers), Body(self._address, response))
            most = MOST_OF_AN_ERROR if fetch.mode == "stream" else None
            return Answer(response.status, headers, _whole(response, most))
        except FAILURES as error:
            raise failure(self._address, error) from error

    def _send(self, fetch: Fetch, ends: float | None) -> urllib3.BaseHTTPResponse:
        pool = self._open()
        connect, idle = fetch.timeout.connect, fetch.timeout.idle
        if fetch.remaining is not None:
            connect, idle = min(connect, fetch.remaining), min(idle, fetch.remaining)
        body = fetch.body
        return pool.urlopen(
            fetch.method,
            self._prefix + fetch.target,
            body=pieces_of(body) if isinstance(body, Upload) else body,
            headers=fetch.fields,
            retries=_NO_RETRIES,
            redirect=False,
            assert_same_host=False,
            preload_content=False,
            timeout=urllib3.Timeout(connect=connect, read=Silence.until(ends, idle)),
            pool_timeout=fetch.remaining,  # type: ignore[arg-type]  # whole or not
        )

    def close(self) -> None:
        """Closes all connections; the client cannot be used again."""
        with self._lock:
            self._closed = True
            pool, self._pool = self._pool, None
        if pool is not None and self._process == os.getpid():
            pool.close()


class Body:
    """The rest of an answer, as it comes."""

    def __init__(self, address: Address, response: urllib3.BaseHTTPResponse) -> None:
        self._address = address
        self._response = response

    def read(self) -> bytes:
        """What came next, b"" at the end. Raises APIConnectionError, and closes the connection then."""
        try:
            data = self._response.read1(_PIECE, decode_content=True)
        except FAILURES as error:
            self.close()
            raise failure(self._address, error) from error
        except BaseException:
            self.close()
            raise
        if not data:
            self._response.release_conn()
        return data

    def close(self) -> None:
        """Closes the connection unless the body was read to its end: the agent stops working."""
        self._response.close()
        self._response.release_conn()


def _whole(response: urllib3.BaseHTTPResponse, most: int | None) -> bytes:
    """The body; the connection goes back to the pool when it is whole, and is closed when anything interrupts."""
    pieces: list[bytes] = []
    size = 0
    try:
        while data := response.read1(_PIECE, decode_content=True):
            pieces.append(data)
            size += len(data)
            if most is not None and size > most:
                response.close()
                break
    except BaseException:
        response.close()
        raise
    response.release_conn()
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _goes_on(response: urllib3.BaseHTTPResponse, silence: float) -> None:
    if isinstance(connection := response.connection, Connection | SecureConnection):
        connection.goes_on(silence)


def failure(address: Address, error: Exception) -> APIConnectionError:
    """The error of ours; urllib3 calls a refused connection a timeout too."""
    if isinstance(error, EmptyPoolError):
        return crowded(address.connections)
    if isinstance(error, Urllib3Timeout | TimeoutError) and not isinstance(error, NewConnectionError):
        return late(address.base_url)
    if isinstance(error, SSLError | ssl.SSLError):
        return untrusted(address.base_url, error)
    return broken(address.base_url, error)
