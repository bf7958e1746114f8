"""urllib3's connections, made for small calls: one write for head and body, an answer's fields read in one pass.

They also do what http.client does not: no read waits beyond the end of the call, not for a head that drips either, and
an informational answer (103 Early Hints) is not taken for the answer.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final, cast

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from gatewayd_sdk._blocking.reading import FinalResponse, Reader

_MOST_JOINED: Final = 65_536
_WITH_BODY: Final = ("POST", "PUT", "PATCH")


class _Small:
    """Requests and answers without the state that http.client keeps of them: there is one at a time.

    Names and values are those that the core has checked. `authority` is what the Host field says.
    """

    sock: Any
    timeout: Any
    _method: str

    def __init__(self, *arguments: Any, authority: str, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._authority = authority
        self._reader: Reader | None = None

    def request(
        self, method: str, url: str, body: Any = None, headers: Mapping[str, str] | None = None, **_: object
    ) -> None:
        if self.sock is None:
            self.connect()  # type: ignore[attr-defined]
        self.sock.settimeout(self.timeout)
        self._method = method
        fields = "".join([f"{name}: {value}\r\n" for name, value in (headers or {}).items()])
        head = f"{method} {url} HTTP/1.1\r\nHost: {self._authority}\r\n{fields}"
        if body is None or isinstance(body, bytes):
            self._send_whole(head, body or b"")
        else:
            self._send_pieces(head, body, chunked="content-length" not in (headers or {}))

    def _send_whole(self, head: str, body: bytes) -> None:
        length = f"Content-Length: {len(body)}\r\n" if body or self._method in _WITH_BODY else ""
        start = f"{head}{length}\r\n".encode("ascii")
        if len(body) <= _MOST_JOINED:
            self.sock.sendall(start + body)
        else:
            self.sock.sendall(start)
            self.sock.sendall(body)

    def _send_pieces(self, head: str, pieces: Iterable[bytes], *, chunked: bool) -> None:
        framing = "Transfer-Encoding: chunked\r\n" if chunked else ""  # or the length is among the fields
        self.sock.sendall(f"{head}{framing}\r\n".encode("ascii"))
        for piece in filter(None, pieces):
            self.sock.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            self.sock.sendall(b"0\r\n\r\n")

    def response_class(self, sock: Any, **options: Any) -> FinalResponse:
        """http.client asks for the answer of a CONNECT by this name, too."""
        self._reader = Reader(sock, self.timeout)
        return FinalResponse(cast("Any", self._reader), **options)

    def getresponse(self) -> urllib3.HTTPResponse:
        self.sock.settimeout(self.timeout)
        shut_down = self.sock.shutdown
        answer = self.response_class(self.sock, method=self._method)
        try:
            answer.begin()
        except BaseException:
            answer.close()
            raise
        if answer.will_close:
            self.close()  # type: ignore[attr-defined]  # the answer keeps the socket until it is read
        return urllib3.HTTPResponse(
            answer,
            headers=cast("urllib3.HTTPHeaderDict", answer.headers),
            status=answer.status,
            version=answer.version,
            reason=answer.reason,
            preload_content=False,
            original_response=answer,
            request_method=self._method,
            sock_shutdown=shut_down,
        )

    def goes_on(self, silence: float) -> None:
        """The answer is a stream: from here on, silence alone ends it."""
        if self._reader is not None:
            self._reader.goes_on(silence)


class Connection(_Small, HTTPConnection):  # type: ignore[misc]  # its requests are fewer kinds
    pass


class SecureConnection(_Small, HTTPSConnection):  # type: ignore[misc]
    pass


def with_small_calls(pool: urllib3.HTTPConnectionPool, authority: str) -> urllib3.HTTPConnectionPool:
    """The pool, whose connections are made by these classes from now on."""
    made = SecureConnection if isinstance(pool, urllib3.HTTPSConnectionPool) else Connection
    pool.ConnectionCls = cast("Any", partial(made, authority=authority))
    return pool
