"""One attempt over urllib3."""

import os
import ssl
import threading
import time
from typing import Final

import urllib3
from urllib3.exceptions import HTTPError, NewConnectionError
from urllib3.exceptions import TimeoutError as Urllib3Timeout

from gatewayd_sdk._core.answers import Answer
from gatewayd_sdk._core.errors import APIConnectionError, APITimeoutError, ConfigurationError
from gatewayd_sdk._core.exchange import Fetch
from gatewayd_sdk._core.headers import Headers

_PIECE: Final = 64 * 1024


class Urllib3Transport:
    """Connections to one gateway, kept and reused; any thread may use it, and a forked child gets its own."""

    def __init__(self, base_url: str, *, proxy: str | None, tls: ssl.SSLContext | None, connections: int) -> None:
        self._base_url = base_url
        self._proxy = proxy
        self._tls = tls
        self._connections = connections
        self._lock = threading.Lock()
        self._pool: urllib3.PoolManager | None = None
        self._process = os.getpid()
        self._closed = False

    def _open(self) -> urllib3.PoolManager:
        if self._closed:
            raise ConfigurationError("the client is closed: make a new one")
        if self._process != os.getpid():
            self._lock = threading.Lock()  # the parent's may be held by a thread that is not here
            self._pool, self._process = None, os.getpid()
        with self._lock:
            if self._pool is None:
                self._pool = self._make()
            return self._pool

    def _make(self) -> urllib3.PoolManager:
        if self._proxy is not None:
            return urllib3.ProxyManager(
                self._proxy, maxsize=self._connections, block=True, retries=False, ssl_context=self._tls
            )
        return urllib3.PoolManager(maxsize=self._connections, block=True, retries=False, ssl_context=self._tls)

    def fetch(self, fetch: Fetch) -> Answer:
        """The whole answer. Raises APITimeoutError or APIConnectionError; an interrupted call closes its connection."""
        pool = self._open()
        ends = None if fetch.remaining is None else time.monotonic() + fetch.remaining
        timeout = urllib3.Timeout(
            connect=fetch.connect if fetch.remaining is None else min(fetch.connect, fetch.remaining),
            read=fetch.idle if fetch.remaining is None else min(fetch.idle, fetch.remaining),
        )
        try:
            response = pool.urlopen(
                fetch.method,
                self._base_url + fetch.target,
                body=fetch.body,
                headers=fetch.headers.as_dict(),
                redirect=False,
                preload_content=False,
                timeout=timeout,
            )
            return Answer(response.status, Headers(response.headers.items()), _read(response, ends))
        except (HTTPError, OSError, ValueError) as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> APIConnectionError:
        """The error of ours; urllib3 calls a refused connection a timeout too."""
        if isinstance(error, Urllib3Timeout | TimeoutError) and not isinstance(error, NewConnectionError):
            return APITimeoutError(f"no whole answer from {self._base_url} in time")
        told = error or type(error).__name__
        return APIConnectionError(f"no whole answer from {self._base_url}: {told}; is gatewayd running there?")

    def close(self) -> None:
        """Closes all connections; the client cannot be used again."""
        self._closed = True
        pool, self._pool = self._pool, None
        if pool is not None and self._process == os.getpid():
            pool.clear()


def _read(response: urllib3.BaseHTTPResponse, ends: float | None) -> bytes:
    """The body; the connection goes back to the pool when it is whole, and is closed when anything interrupts."""
    pieces: list[bytes] = []
    try:
        for piece in response.stream(_PIECE):
            pieces.append(piece)
            _check(ends)
    except BaseException:
        response.close()
        raise
    response.release_conn()
    return b"".join(pieces)


def _check(ends: float | None) -> None:
    if ends is not None and time.monotonic() > ends:
        raise TimeoutError
