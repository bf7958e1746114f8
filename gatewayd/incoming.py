"""A request as the ring takes it off its connection: what policies and the way to an agent read of it, and no more.

aiohttp's request is made of it when somebody asks for one. To make and to free that, and to look into it through
Python's own ways, was a tenth of what a request cost here; most of them are forwarded without.
"""

from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.helpers import set_exception
from aiohttp.streams import StreamReader

from gatewayd.framing import Head

Maker = Callable[[Any, StreamReader, Any, None, Any], web.Request]
"""Makes aiohttp's request: of a parsed head, its body, the connection, no writer yet, and the connection's task."""
Streamer = Callable[[bytes, Any], StreamReader]
"""Makes a stream that has ended: of all that is in it, and the connection."""


class Caller:
    """What the requests of one connection have in common: where they come from, and what answers them.

    `told` is what an agent was last told of that, by `told_host` and `told_prefix`; who forwards writes and reads it.
    """

    __slots__ = ("app", "make", "remote", "stream", "tls", "told", "told_host", "told_prefix")

    def __init__(
        self, app: web.Application, make: Maker, stream: Streamer, remote: str | None, tls: object | None
    ) -> None:
        self.app = app
        self.make = make
        self.stream = stream
        self.remote = remote
        self.tls = tls
        self.told = b""
        self.told_host: bytes | None = None
        self.told_prefix = ""


class Incoming:
    """One request. What has a name here is called as in aiohttp's, so that code takes either.

    `plain_head` is what `framing.read_head` would find, if that was found already, `talk` the connection's
    conversation. Mutable: it has an exchange while it is in the ring, its task until it was answered, and a body that
    came with its head until somebody takes it or asks for a stream.
    """

    __slots__ = (
        "_body",
        "_caller",
        "_content",
        "_message",
        "_whole",
        "exchange",
        "keep_alive",
        "method",
        "plain_head",
        "protocol",
        "raw_path",
        "talk",
        "task",
        "version",
    )

    def __init__(
        self,
        caller: Caller,
        message: Any,
        content: StreamReader | None,
        body: bytes,
        protocol: Any,
        talk: object,
        task: Any,
        method: str,
        raw_path: str,
        version: Any,
        keep_alive: bool,  # keywords would cost each request a dictionary
        plain_head: Head | None,
    ) -> None:
        self._caller = caller
        self._message = message
        self._whole: web.Request | None = None
        self._content = content
        self._body = body
        self.exchange: object | None = None
        self.keep_alive = keep_alive
        self.method = method
        self.plain_head = plain_head
        self.protocol = protocol
        self.raw_path = raw_path
        self.talk = talk
        self.task = task
        self.version = version

    @property
    def caller(self) -> Caller:
        return self._caller

    @property
    def app(self) -> web.Application:
        return self._caller.app

    @property
    def remote(self) -> str | None:
        return self._caller.remote

    @property
    def content(self) -> StreamReader:
        """The body as a stream, which is made of one that is here when it is first asked for."""
        if self._content is None:
            self._content = self._caller.stream(self._body, self.protocol)
        return self._content

    @property
    def raw_headers(self) -> Any:
        return self._message.raw_headers

    @property
    def transport(self) -> Any:
        """None once the connection is lost."""
        return self.protocol.transport

    @property
    def writer(self) -> Any:
        return self.whole().writer

    @property
    def _transport_sslcontext(self) -> object | None:
        return self._caller.tls

    def take_body(self) -> bytes | None:
        """All of the body, once, if it came with the head and nobody asked for a stream."""
        if self._content is not None:
            return None
        body, self._body = self._body, b""
        return body

    def whole(self) -> web.Request:
        """The same request as aiohttp has it, made when it is first asked for."""
        if self._whole is None:
            self._whole = self._caller.make(self._message, self.content, self.protocol, None, self.task)
        return self._whole

    @property
    def has_whole(self) -> bool:
        """Whether somebody asked for it."""
        return self._whole is not None

    def let_go(self) -> None:
        """It was answered: its task and it, which know each other, are parted."""
        self.task = None
        if self._whole is not None:
            self._whole._task = None  # type: ignore[assignment]  # noqa: SLF001

    def _cancel(self, exc: BaseException) -> None:
        """Aiohttp calls it when the connection is lost: who reads the body hears of it."""
        set_exception(self.content, exc)


Asked = Incoming | web.Request
"""What a request is to whoever needs only what both have."""
