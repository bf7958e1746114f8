"""Opening a WebSocket: urllib3 makes the connection, with proxy and TLS, and the core says what goes over it."""

import socket
import time
from urllib.parse import urlsplit

from urllib3.connection import HTTPConnection, HTTPSConnection

from gatewayd_sdk._blocking.websocket import WebSocket
from gatewayd_sdk._core.answers import Answer
from gatewayd_sdk._core.errors import ConfigurationError
from gatewayd_sdk._core.exchange import Fetch, Opened
from gatewayd_sdk._core.setup import Address
from gatewayd_sdk._core.websocket import Handshake

_PIECE = 64 * 1024


def connect(address: Address, fetch: Fetch, ends: float | None) -> Answer | Opened[object]:
    """An open WebSocket, or the answer that refused it; raises what urllib3 and sockets raise."""
    sock = _connected(address, min(fetch.timeout.connect, _left(ends, fetch.timeout.connect)))
    try:
        handshake = Handshake(address.host, address.path + fetch.target, fetch.fields)
        sock.sendall(handshake.request)
        answer = None
        while answer is None:
            sock.settimeout(_left(ends, fetch.timeout.idle))
            answer = handshake.feed(sock.recv(_PIECE))
    except BaseException:
        sock.close()
        raise
    if answer.status != 101:
        sock.close()
        return answer
    return Opened(answer, WebSocket(address, sock, handshake.rest, fetch.timeout.idle))


def _left(ends: float | None, most: float) -> float:
    if ends is None:
        return most
    if (left := ends - time.monotonic()) <= 0:
        raise TimeoutError
    return min(left, most)


def _connected(address: Address, timeout: float) -> socket.socket:
    parts = urlsplit(address.base_url)
    host, port = parts.hostname or "", parts.port or (443 if address.secure else 80)
    proxy = address.proxy
    if proxy is not None and proxy.url.startswith("https:"):
        raise ConfigurationError("connect() goes through http:// proxies only")
    at = (host, port) if proxy is None else (proxy.host, proxy.port)
    connection = (
        HTTPSConnection(*at, timeout=timeout, ssl_context=address.tls)
        if address.secure
        else HTTPConnection(*at, timeout=timeout)
    )
    if proxy is not None:
        connection.set_tunnel(host, port, proxy.headers, "http")
    connection.connect()
    assert isinstance(connection.sock, socket.socket)
    return connection.sock
