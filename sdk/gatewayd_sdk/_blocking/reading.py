"""An answer as it comes over a socket: in time, its fields split in one pass."""

import io
import time
from http.client import HTTPResponse, LineTooLong, UnknownProtocol
from typing import Any, Final, cast

from urllib3 import HTTPHeaderDict

_MOST_LINE: Final = 65_536
_MOST_FIELDS: Final = 100


class Silence(float):
    """The seconds that a read may wait, and when the call has to be over (`time.monotonic`), None for never.

    urllib3 hands a timeout on as it was given: so both come to the connection.
    """

    __slots__ = ("ends",)
    ends: float | None

    @classmethod
    def until(cls, ends: float | None, seconds: float) -> "Silence":
        silence = cls(seconds)
        silence.ends = ends
        return silence


class Reader(io.RawIOBase):
    """What comes over a socket, in time; http.client takes it for the socket."""

    def __init__(self, sock: Any, silence: float) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._silence = silence
        self._ends = silence.ends if isinstance(silence, Silence) else None

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._ends is not None:
            left = self._ends - time.monotonic()
            if left <= 0:
                raise TimeoutError
            if left < self._silence:
                self._sock.settimeout(left)
        return cast("int | None", self._raw.readinto(buffer))

    def goes_on(self, silence: float) -> None:
        """From here on each read may wait that long: the answer is a stream."""
        self._ends = None
        self._sock.settimeout(silence)

    def close(self) -> None:
        self._raw.close()
        super().close()


class FinalResponse(HTTPResponse):
    """The first answer that is none of 1xx (RFC 9110 section 15.2), its fields split and not parsed as a letter."""

    def begin(self) -> None:
        status = 100
        while 100 <= status < 200 and status != 101:
            version, status, reason = self._read_status()  # type: ignore[attr-defined]
            fields = _fields(self.fp)
        if not version.startswith("HTTP/1."):
            raise UnknownProtocol(version)
        self.code = self.status = status
        self.reason = reason.strip()
        self.version = 10 if version == "HTTP/1.0" else 11
        self.headers = self.msg = fields  # type: ignore[assignment]  # as much of a message as is asked for
        self._frame()

    def _frame(self) -> None:
        """Where the body ends (RFC 9112 section 6.3)."""
        self.chunked = (self.headers.get("transfer-encoding") or "").lower() == "chunked"
        self.chunk_left = None
        self.will_close = self._check_close()  # type: ignore[attr-defined]
        said = self.headers.get("content-length")
        self.length = int(said) if said and said.isdigit() and not self.chunked else None
        if self.status in (204, 304) or self.status < 200 or self._method == "HEAD":  # type: ignore[attr-defined]
            self.length = 0
        if not self.will_close and not self.chunked and self.length is None:
            self.will_close = True


def _fields(lines: Any) -> HTTPHeaderDict:
    fields = HTTPHeaderDict()
    for _ in range(_MOST_FIELDS + 1):
        line = lines.readline(_MOST_LINE + 1)
        if len(line) > _MOST_LINE:
            raise LineTooLong("header line")
        if line in (b"\r\n", b"\n", b""):
            return fields
        name, colon, value = line.decode("latin-1").partition(":")
        if colon and not name[:1].isspace():
            fields.add(name, value.strip())
    raise ValueError(f"the answer has more than {_MOST_FIELDS} header fields")
