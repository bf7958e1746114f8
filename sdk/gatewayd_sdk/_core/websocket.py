"""A WebSocket as its client (RFC 6455), without the socket: the opening handshake, then messages out of bytes."""

import codecs
import secrets
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha1
from typing import Final, NamedTuple

from gatewayd_sdk._core.answers import MOST_OF_AN_ERROR, Answer, response_error
from gatewayd_sdk._core.errors import APIConnectionError
from gatewayd_sdk._core.frames import MOST_MESSAGE, Frame, FrameDecoder, Opcode, Violation, encoded
from gatewayd_sdk._core.headers import Headers

_MAGIC: Final = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_MOST_HEAD: Final = 64 * 1024
NORMAL: Final = frozenset({1000, 1001})
"""Codes of a session that ended as it should: done, or the other side goes away."""


class Handshake:
    """The opening handshake (section 4.1): bytes in, until there is an answer."""

    def __init__(self, host: str, target: str, fields: Mapping[str, str], key: str | None = None) -> None:
        self._key = key or b64encode(secrets.token_bytes(16)).decode()
        self._data = bytearray()
        self._head: Answer | None = None
        ours = {
            "host": host,
            **{name: value for name, value in fields.items() if name != "accept-encoding"},
            "upgrade": "websocket",
            "connection": "Upgrade",
            "sec-websocket-version": "13",
            "sec-websocket-key": self._key,
        }
        lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in ours.items()), "", ""]
        self.request: Final = "\r\n".join(lines).encode("latin-1")

    @property
    def rest(self) -> bytes:
        """What came behind the head."""
        return bytes(self._data)

    def feed(self, data: bytes) -> Answer | None:
        """The answer once it is whole: 101, with the session's bytes behind it, or why not. b"" is the end of bytes.

        Raises APIConnectionError for what is no HTTP, and for an end before the answer was there.
        """
        self._data += data
        if self._head is None:
            self._read_head()
        if self._head is not None and (self._head.status == 101 or not data or self._is_whole(self._head)):
            return self._checked(self._head)
        if not data:
            raise APIConnectionError("the connection was closed in the opening handshake")
        return None

    def _read_head(self) -> None:
        end = self._data.find(b"\r\n\r\n")
        if end > _MOST_HEAD or (end < 0 and len(self._data) > _MOST_HEAD):
            raise APIConnectionError("the head of the answer to the opening handshake is too long")
        if end >= 0:
            head = bytes(self._data[:end]).decode("latin-1")
            del self._data[: end + 4]
            status, headers = _parsed(head)
            if not 100 <= status < 200 or status == 101:
                self._head = Answer(status, headers)
            else:
                self._read_head()

    def _is_whole(self, head: Answer) -> bool:
        length = head.headers.get("content-length", "")
        wanted = int(length) if length.isascii() and length.isdigit() and len(length) < 16 else MOST_OF_AN_ERROR
        return len(self._data) >= min(wanted, MOST_OF_AN_ERROR)

    def _checked(self, head: Answer) -> Answer:
        if head.status != 101:
            return Answer(head.status, head.headers, self.rest[:MOST_OF_AN_ERROR])
        expected = b64encode(sha1((self._key + _MAGIC).encode()).digest()).decode()  # noqa: S324 - section 4.1 says so
        upgraded = head.headers.get("upgrade", "").lower() == "websocket"
        if not upgraded or head.headers.get("sec-websocket-accept") != expected:
            raise response_error("the answer to the opening handshake is none of a WebSocket", head)
        if "sec-websocket-extensions" in head.headers or "sec-websocket-protocol" in head.headers:
            raise response_error("the answer to the opening handshake names what was not asked for", head)
        return head


def _parsed(head: str) -> tuple[int, Headers]:
    first, *lines = head.split("\r\n")
    version, _, rest = first.partition(" ")
    code = rest[:3]
    if not version.startswith("HTTP/1.") or not (code.isascii() and code.isdigit() and len(code) == 3):
        raise APIConnectionError("the answer to the opening handshake is no HTTP: is gatewayd running there?")
    pairs = (line.partition(":") for line in lines)
    return int(code), Headers([(name.strip(), value.strip()) for name, _, value in pairs])


class Closed(NamedTuple):
    """The other side ended the session, for a reason (section 7.4)."""

    code: int
    reason: str

    @property
    def orderly(self) -> bool:
        return self.code in NORMAL


class Session:
    """The session behind the handshake: bytes in, messages out, and what has to be sent meanwhile. Mutable."""

    def __init__(self, most: int = MOST_MESSAGE, mask: Callable[[], bytes] = lambda: secrets.token_bytes(4)) -> None:
        self._most = most
        self._mask = mask
        self._frames = FrameDecoder(most)
        self._kind: Opcode | None = None
        self._pieces: list[bytes] = []
        self._size = 0
        self.closing = False
        """Whether a Close frame was made: nothing may be sent after it."""
        self.due = bytearray()
        """Pongs and the echo of a Close frame; whoever sends them takes them out."""

    def message(self, text: str) -> bytes:
        return encoded(Frame(Opcode.TEXT, text.encode()), self._mask())

    def close(self, code: int = 1000) -> bytes:
        """A Close frame, nothing if there was one."""
        if self.closing:
            return b""
        self.closing = True
        return encoded(Frame(Opcode.CLOSE, code.to_bytes(2)), self._mask())

    def feed(self, data: bytes) -> Iterator[str | bytes | Closed]:
        """The messages that these bytes complete, Closed as the last; raises Violation."""
        for frame in self._frames.feed(data):
            if frame.opcode is Opcode.CLOSE:
                yield self._closed(frame.payload)
                return
            if frame.opcode is Opcode.PING:
                self._answer(frame.payload)
            elif not frame.opcode.controls and (message := self._gathered(frame)) is not None:
                yield message

    def _answer(self, payload: bytes) -> None:
        if not self.closing:
            self.due += encoded(Frame(Opcode.PONG, payload), self._mask())

    def _closed(self, payload: bytes) -> Closed:
        code = int.from_bytes(payload[:2]) if len(payload) > 1 else 1005
        if len(payload) == 1 or (payload and not _may_be_sent(code)):
            raise Violation("a Close frame has no code that may be sent")
        self.due += self.close(1000 if code == 1005 else code)
        return Closed(code, _text(payload[2:]))

    def _gathered(self, frame: Frame) -> str | bytes | None:
        """The message that this frame ends, if it ends one."""
        if (frame.opcode is Opcode.CONTINUATION) is (self._kind is None):
            raise Violation("the pieces of a message are out of order")
        self._kind = self._kind or frame.opcode
        self._pieces.append(frame.payload)
        self._size += len(frame.payload)
        if self._size > self._most:
            raise Violation(f"a message is longer than {self._most} bytes", 1009)
        if not frame.final:
            return None
        whole, kind = b"".join(self._pieces), self._kind
        self._pieces.clear()
        self._size, self._kind = 0, None
        return _text(whole) if kind is Opcode.TEXT else whole


def _may_be_sent(code: int) -> bool:
    return (1000 <= code <= 1014 and code not in (1004, 1005, 1006)) or 3000 <= code <= 4999


def _text(data: bytes) -> str:
    try:
        return codecs.decode(data, "utf-8")
    except UnicodeDecodeError:
        raise Violation("a text is no UTF-8", 1007) from None
