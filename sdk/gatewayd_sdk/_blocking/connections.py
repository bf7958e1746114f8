"""urllib3's connections, but an informational answer (103 Early Hints) is not taken for the answer."""

from http.client import HTTPResponse, parse_headers

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection


class FinalResponse(HTTPResponse):
    """The first answer that is none of 1xx (RFC 9110 section 15.2); http.client itself passes over 100 alone."""

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 101 < status < 200:
                return version, status, reason
            parse_headers(self.fp)


class Connection(HTTPConnection):
    response_class = FinalResponse


class SecureConnection(HTTPSConnection):
    response_class = FinalResponse


def with_final_answers(pool: urllib3.HTTPConnectionPool) -> urllib3.HTTPConnectionPool:
    """The pool, whose connections are made by these classes from now on."""
    secure = isinstance(pool, urllib3.HTTPSConnectionPool)
    pool.ConnectionCls = SecureConnection if secure else Connection
    return pool
