"""One agent's address and the calls to it: aiohttp's connection pool and its parser, without its client on top.

The shared session's connector gives a pooled connection; a call writes one buffer and reads the parsed head back.
This is the only room that touches aiohttp's client protocol; `tests/proxy/test_upstream.py` fails loudly if an
upgrade moves something under it. Every failure leaves as a Refusal.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from aiohttp import BaseConnector, ClientConnectionError, ClientPayloadError, ClientRequest, ClientTimeout
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import RawResponseMessage, StreamWriter
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EofStream, StreamReader
from yarl import URL

from gatewayd.errors import UpstreamConnect, UpstreamProtocol, UpstreamReset, UpstreamTimeout

_NO_TIMEOUT: Final = ClientTimeout()
_READ_BUFFER: Final = 64 * 1024
_MAX_FIELD: Final = 64 * 1024
_MAX_FIELDS: Final = 256
_MAX_INTERIM: Final = 16
_BODILESS: Final = frozenset({204, 304})


class StaleConnectionError(Exception):
    """A pooled connection turned out to be closed before it gave a byte: the agent may not have seen the request."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of an agent's answer, judged, and its body as it comes. `length` None: not known beforehand."""

    status: int
    reason: bytes
    raw_headers: tuple[tuple[bytes, bytes], ...]
    body: StreamReader
    length: int | None
    has_body: bool
    keep_alive: bool


class Upstream:
    """An agent's base URL, with everything that calls to it share."""

    __slots__ = ("_connector", "_dial", "authority", "base_path", "url")

    def __init__(self, url: str, connector: BaseConnector, loop: asyncio.AbstractEventLoop) -> None:
        self.url = URL(url)
        self.base_path = self.url.raw_path.rstrip("/")
        self.authority = self.url.raw_authority.encode()
        self._connector = connector
        # Names the peer to the pool (host, port, TLS) and is never sent.
        self._dial = ClientRequest("GET", self.url, loop=loop)

    def target(self, suffix: str, query: str) -> bytes:
        """The request target at the agent: its base path, then what followed the route's prefix, byte for byte."""
        return ((self.base_path + suffix or "/") + query).encode("ascii")

    async def connect(self, timeout: float) -> "Call":
        """A connection from the pool, or a new one within `timeout` seconds. Raises UpstreamConnect, UpstreamTimeout."""
        try:
            async with asyncio.timeout(timeout or None):
                connection = await self._connector.connect(self._dial, [], _NO_TIMEOUT)
        except TimeoutError:
            raise UpstreamTimeout("The agent did not accept the connection in time.") from None
        except (ClientConnectionError, OSError):
            raise UpstreamConnect from None
        return Call(connection)


class Call:
    """One request on one connection. End it with `release` when both sides are done, else with `abort`."""

    __slots__ = ("_connection", "_interim", "_protocol", "_reused", "_writer")

    def __init__(self, connection: Connection) -> None:
        protocol = connection.protocol
        assert protocol is not None
        self._connection = connection
        self._protocol: ResponseHandler = protocol
        # Unset until a first call has set the parameters of its answer, so it tells a fresh connection.
        self._reused = protocol.read_timeout is not None
        self._writer = StreamWriter(protocol, asyncio.get_running_loop())
        self._interim = 0

    @property
    def protocol(self) -> ResponseHandler:
        return self._protocol

    def expect(self, *, bodiless: bool) -> None:
        """Prepare for the answer; `bodiless` for HEAD, whose answer has none whatever its fields say."""
        self._protocol.set_response_params(
            skip_payload=bodiless,
            read_until_eof=True,
            auto_decompress=False,
            read_timeout=0.0,
            read_bufsize=_READ_BUFFER,
            max_line_size=_MAX_FIELD,
            max_field_size=_MAX_FIELD,
            max_headers=_MAX_FIELDS,
        )

    def send(self, data: bytes) -> None:
        """Write without waiting. Raises StaleConnectionError on a pooled connection, UpstreamReset on a fresh one."""
        transport = self._protocol.transport
        if transport is None or transport.is_closing():
            raise self._broken()
        transport.write(data)

    async def drain(self) -> None:
        """Wait until the agent takes more (back-pressure). A connection lost meanwhile shows in `answer`."""
        try:
            await self._writer.drain()
        except ConnectionError:
            raise UpstreamReset from None

    async def answer(self, timeout: float, *, bodiless: bool) -> "Answer | Interim":
        """The next head. Raises UpstreamTimeout, UpstreamProtocol, UpstreamReset or StaleConnectionError."""
        try:
            async with asyncio.timeout(timeout or None):
                message, body = await self._protocol.read()
        except TimeoutError:
            raise UpstreamTimeout from None
        except HttpProcessingError:
            raise UpstreamProtocol from None
        except (ClientConnectionError, EofStream, OSError):
            raise self._broken() from None
        if 100 <= message.code < 200 and message.code != 101:
            return self._count_interim(message)
        return judge(message, body, bodiless=bodiless)

    def _count_interim(self, message: RawResponseMessage) -> "Interim":
        self._interim += 1
        if self._interim > _MAX_INTERIM:
            raise UpstreamProtocol("The agent sent too many interim answers.")
        return Interim(message.code, _reason(message), message.raw_headers)

    def _broken(self) -> Exception:
        return StaleConnectionError() if self._reused and not self._interim else UpstreamReset()

    def release(self) -> None:
        """Give the connection back to the pool, which closes it unless it is clean."""
        self._connection.release()

    def abort(self) -> None:
        """Close the connection now: the agent sees at once that nobody listens."""
        transport = self._protocol.transport
        self._connection.close()
        if transport is not None:
            transport.abort()


@dataclass(frozen=True, slots=True)
class Interim:
    """A 1xx head (RFC 9110 section 15.2)."""

    status: int
    reason: bytes
    raw_headers: tuple[tuple[bytes, bytes], ...]


def judge(message: RawResponseMessage, body: StreamReader, *, bodiless: bool) -> Answer:
    """Read the framing of an answer (RFC 9112 section 6.3). Raises UpstreamProtocol where it is ambiguous."""
    lengths = [value for name, value in message.raw_headers if name.lower() == b"content-length"]
    codings = [value.strip().lower() for name, value in message.raw_headers if name.lower() == b"transfer-encoding"]
    if codings and (lengths or codings != [b"chunked"]):
        raise UpstreamProtocol("The agent's framing is ambiguous.")
    if lengths and (len(lengths) > 1 or not lengths[0].isdigit() or len(lengths[0]) > 18):
        raise UpstreamProtocol("The agent's Content-Length is not one number.")
    status = message.code
    return Answer(
        status=status,
        reason=_reason(message),
        raw_headers=message.raw_headers,
        body=body,
        length=int(lengths[0]) if lengths else None,
        has_body=not bodiless and status not in _BODILESS and status >= 200,
        keep_alive=not message.should_close,
    )


def _reason(message: RawResponseMessage) -> bytes:
    return message.reason.encode("utf-8", "surrogateescape")


async def read_body(body: StreamReader, idle: float) -> bytes:
    """What is there of an agent's body, waiting up to `idle` seconds for it; empty at its end.

    Raises UpstreamReset if it breaks off, UpstreamTimeout if it stops coming.
    """
    try:
        async with asyncio.timeout(idle or None):
            return await body.readany()
    except TimeoutError:
        raise UpstreamTimeout("The agent stopped in the middle of its answer.") from None
    except (ClientPayloadError, ClientConnectionError, HttpProcessingError):
        raise UpstreamReset from None
