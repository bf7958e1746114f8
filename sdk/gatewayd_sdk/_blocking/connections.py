"""urllib3's connections, made for small calls: one write for head and body, an answer's fields read in one pass.

Also, an informational answer (103 Early Hints) is not taken for the answer, as http.client does.
"""

from http.client import HTTPMessage, HTTPResponse, LineTooLong, UnknownProtocol
from typing import Any, Final

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

_MOST_LINE: Final = 65_536
_MOST_FIELDS: Final = 100
_MOST_HELD: Final = 65_536


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
        self.headers = self.msg = fields
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


def _fields(lines: Any) -> HTTPMessage:
    message = HTTPMessage()
    for _ in range(_MOST_FIELDS + 1):
        line = lines.readline(_MOST_LINE + 1)
        if len(line) > _MOST_LINE:
            raise LineTooLong("header line")
        if line in (b"\r\n", b"\n", b""):
            return message
        name, colon, value = line.decode("latin-1").partition(":")
        if colon and not name[:1].isspace():
            message[name] = value.strip()
    raise ValueError(f"the answer has more than {_MOST_FIELDS} header fields")


class _OneWrite:
    """A head that waits for the body's first piece."""

    _held: bytes | None = None

    def request(self, method: str, url: str, body: Any = None, *arguments: Any, **options: Any) -> None:
        self._held = b"" if isinstance(body, bytes) and 0 < len(body) <= _MOST_HELD else None
        try:
            super().request(method, url, body, *arguments, **options)  # type: ignore[misc]
        finally:
            self._held = None

    def send(self, data: Any) -> None:
        if self._held is None or not isinstance(data, bytes):
            super().send(data)  # type: ignore[misc]
        elif not self._held:
            self._held = data
        else:
            data, self._held = self._held + data, None
            super().send(data)  # type: ignore[misc]


class Connection(_OneWrite, HTTPConnection):
    response_class = FinalResponse


class SecureConnection(_OneWrite, HTTPSConnection):
    response_class = FinalResponse


def with_small_calls(pool: urllib3.HTTPConnectionPool) -> urllib3.HTTPConnectionPool:
    """The pool, whose connections are made by these classes from now on."""
    pool.ConnectionCls = SecureConnection if isinstance(pool, urllib3.HTTPSConnectionPool) else Connection
    return pool
