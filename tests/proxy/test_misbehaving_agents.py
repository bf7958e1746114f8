"""What each way of an agent to go wrong looks like: to the caller, in the log, in the ledger, to the next request."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.agents import Script, answering, raw_agent
from tests.gateways import PLANS, RunningGateway, running_gateway
from tests.patience import PATIENCE
from tests.proxy.wire import OK, Caller, Ending, Heard, at_first, beat, call, calling, chunked, message, reset, saying

ROUTES = """
[routes.email]
prefix = "/api/email"
upstream = "{upstream}"
[routes.hasty]
prefix = "/api/hasty"
upstream = "{upstream}"
timeouts = {{ connect = "10s", first_byte = "250ms", idle = "250ms" }}
[routes.crowded]
prefix = "/api/crowded"
upstream = "{upstream}"
timeouts = {{ connect = "100ms" }}
[routes.well]
prefix = "/api/well"
upstream = "{well}"
"""
UNLIMITED = PLANS.replace("api_calls = 100000", "api_calls = 0")  # for agents that state absurd quantities
HEAD = b"HTTP/1.1 200 OK\r\n"
SIZED = HEAD + b"Content-Length: 10\r\n\r\n"
LARGE = HEAD + b"Content-Length: 100000\r\n\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
UPLOAD = b"x" * 20_000_000
ENDLESS = HEAD + b"\r\n"


def head(*lines: bytes, body: bytes = b"ok") -> bytes:
    return b"".join([HEAD, *(line + b"\r\n" for line in lines), b"\r\n", body])


def sized(*lines: bytes) -> bytes:
    return head(*lines, b"Content-Length: 2")


@dataclass(frozen=True)
class Case:
    """`code` is the log's; empty for an agent's own answer. `outcome` None: no record, for no agent was reached."""

    agent: Script
    status: int
    code: str = ""
    outcome: str | None = "failed"
    quantity: int = 0
    ending: Ending = "whole"
    body: bytes | None = None
    method: str = "GET"
    version: str = "1.1"
    upload: bytes = b""

    @property
    def path(self) -> str:
        """Only who is to time out is given little time."""
        return "/api/hasty/x" if self.code == "upstream_timeout" else "/api/email/x"


def reset_502(agent: Script, **more: str) -> Case:
    return Case(agent, 502, "upstream_reset", **more)  # type: ignore[arg-type]


def garbled(*parts: bytes, method: str = "GET") -> Case:
    return Case(saying(*parts), 502, "upstream_protocol", method=method)


def broken(*parts: bytes, then: str = "close", code: str = "upstream_reset", version: str = "1.1") -> Case:
    ending: Ending = "reset" if version == "1.0" else "short"
    return Case(saying(*parts, then=then), 200, code, ending=ending, version=version)  # type: ignore[arg-type]


def late(*parts: bytes) -> Case:
    return Case(saying(*parts), 504, "upstream_timeout")


def passed(*parts: bytes, status: int = 200, quantity: int = 1, body: bytes = b"ok") -> Case:
    outcome = "delivered" if status < 500 else "failed"
    return Case(saying(*parts, then="serve"), status, outcome=outcome, quantity=quantity, body=body)


async def hangs_up(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Accepts and closes."""


async def read_again_later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Stop reading until everybody must have given up, then see the connection end."""
    transport = writer.transport
    transport.pause_reading()  # type: ignore[attr-defined]
    asyncio.get_running_loop().call_later(0.5, transport.resume_reading)  # type: ignore[attr-defined]
    while await reader.read(65536):
        pass


async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says its head byte by byte, and never gets to its end."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(HEAD + b"X-A: ")
    while not reader.at_eof():
        writer.write(b"a")
        await writer.drain()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.01)


async def drips_interim(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    for _ in range(17):
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        await beat()
    await reader.read()


async def closes_on_a_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(1000)


async def resets_on_a_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await closes_on_a_body(reader, writer)
    reset(writer)


async def refuses_a_body_and_closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers and hangs up at once, as servers do that will not read what they do not want."""
    await closes_on_a_body(reader, writer)
    writer.write(b"HTTP/1.1 403 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
    await writer.drain()


async def refuses_a_body_and_resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await refuses_a_body_and_closes(reader, writer)
    reset(writer)


async def takes_no_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    await read_again_later(reader, writer)


async def answers_early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
    await read_again_later(reader, writer)


CASES = {
    # the connection ends
    "accepts and closes": reset_502(hangs_up),
    "reads and closes": reset_502(saying(then="close")),
    "reset before the head": reset_502(saying(then="reset")),
    "closed in the middle of the head": reset_502(saying(b"HTTP/1.1 200 OK\r\nContent-Le", then="close")),
    "reset in the middle of the head": reset_502(saying(b"HTTP/1.1 200 OK\r\nContent-Le", then="reset")),
    "closed after an interim head": reset_502(saying(b"HTTP/1.1 102 Processing\r\n\r\n", then="close")),
    "closed after a sized head": reset_502(saying(SIZED, then="close")),
    "reset after a sized head": reset_502(saying(SIZED, then="reset")),
    "closed after a chunked head": broken(CHUNKED),
    "reset after a chunked head": broken(CHUNKED, then="reset"),
    "small sized body cut short": broken(SIZED, b"1234"),
    "large sized body cut short": broken(LARGE, b"1234"),
    "large sized body reset": broken(LARGE, b"1234", then="reset"),
    "chunked body without its end": broken(CHUNKED, b"4\r\n1234\r\n"),
    "chunked body cut inside a chunk": broken(CHUNKED, b"8\r\n1234"),
    "chunked body reset": broken(CHUNKED, b"4\r\n1234\r\n", then="reset"),
    "close-delimited body reset": broken(ENDLESS, b"1234", then="reset"),
    "chunked body without its end, to HTTP/1.0": broken(CHUNKED, b"4\r\n1234\r\n", version="1.0"),
    "close-delimited body reset, to HTTP/1.0": broken(ENDLESS, b"1234", then="reset", version="1.0"),
    "closed in the middle of the status line": reset_502(saying(b"HTTP/1.", then="close")),
    "closed in the middle of the blank line": reset_502(saying(b"HTTP/1.1 200 OK\r\n\r", then="close")),
    "closed after an interim head and half of another": reset_502(
        saying(b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 2", then="close")
    ),
    "reset after an interim head": reset_502(saying(b"HTTP/1.1 103 Early Hints\r\n\r\n", then="reset")),
    "chunked body cut inside a chunk size": broken(CHUNKED, b"4\r\n1234\r\n1"),
    "chunked body cut before its last line": broken(CHUNKED, b"4\r\n1234\r\n0\r\n"),
    "chunked body cut inside a trailer": broken(CHUNKED, b"4\r\n1234\r\n0\r\nX-Su"),
    "large body cut short, to HTTP/1.0": Case(
        saying(LARGE, b"1234", then="close"), 200, "upstream_reset", ending="short", version="1.0"
    ),
    "its own 500 cut short": Case(
        saying(b"HTTP/1.1 500 No\r\nContent-Length: 100000\r\n\r\n", b"1234", then="close"),
        500,
        "upstream_reset",
        ending="short",
    ),
    "closes in the middle of an upload": Case(closes_on_a_body, 502, "upstream_reset", method="POST", upload=UPLOAD),
    "resets in the middle of an upload": Case(resets_on_a_body, 502, "upstream_reset", method="POST", upload=UPLOAD),
    # the head is not HTTP/1.1
    "garbage": garbled(b"220 smtp.example.org ESMTP\r\n"),
    "nothing but binary": garbled(bytes(range(256))),
    "a TLS alert": garbled(b"\x15\x03\x01\x00\x02\x02F"),
    "HTTP/2 settings frame": garbled(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00d"),
    "HTTP/2.0 in the status line": garbled(b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    "HTTP/0.9 in the status line": garbled(b"HTTP/0.9 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    "status 099": garbled(b"HTTP/1.1 099 Low\r\nContent-Length: 2\r\n\r\nok"),
    "status 1000": garbled(b"HTTP/1.1 1000 High\r\nContent-Length: 2\r\n\r\nok"),
    "status in letters": garbled(b"HTTP/1.1 two OK\r\nContent-Length: 2\r\n\r\nok"),
    "status of two digits": garbled(b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok"),
    "status 000": garbled(b"HTTP/1.1 000 No\r\nContent-Length: 2\r\n\r\nok"),
    "status with a sign": garbled(b"HTTP/1.1 +200 OK\r\nContent-Length: 2\r\n\r\nok"),
    "no status": garbled(b"HTTP/1.1 OK\r\nContent-Length: 2\r\n\r\nok"),
    "http in small letters": garbled(b"http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    "HTTP/1.2 in the status line": garbled(b"HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    "an interim head in HTTP/1.0": garbled(b"HTTP/1.0 102 Processing\r\n\r\n" + OK),
    "a request for an answer": garbled(b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n"),
    "a page without a head": garbled(b"<!doctype html><p>It works!</p>\r\n\r\n"),
    "a space before the status line": garbled(b" " + OK),
    "a byte order mark": garbled(b"\xef\xbb\xbf" + OK),
    # its framing is ambiguous
    "two different lengths": garbled(head(b"Content-Length: 2", b"Content-Length: 3")),
    "the same length twice": garbled(head(b"Content-Length: 2", b"Content-Length: 2")),
    "a list of lengths": garbled(head(b"Content-Length: 2, 2")),
    "a negative length": garbled(head(b"Content-Length: -2")),
    "a length with a sign": garbled(head(b"Content-Length: +2")),
    "a length in letters": garbled(head(b"Content-Length: two")),
    "an empty length": garbled(head(b"Content-Length:")),
    "a length beyond 64 bits": garbled(head(b"Content-Length: 99999999999999999999999")),
    "a length of 19 digits": garbled(head(b"Content-Length: 9999999999999999999")),
    "length and chunked": garbled(head(b"Content-Length: 2", b"Transfer-Encoding: chunked", body=chunked(b"ok"))),
    "coding gzip": garbled(head(b"Transfer-Encoding: gzip")),
    "coding gzip, chunked": garbled(head(b"Transfer-Encoding: gzip, chunked", body=chunked(b"ok"))),
    "coding chunked, gzip": garbled(head(b"Transfer-Encoding: chunked, gzip", body=chunked(b"ok"))),
    "chunked twice": garbled(head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=chunked(b"ok"))),
    "chunked in HTTP/1.0": garbled(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"ok")),
    "a length of two words": garbled(head(b"Content-Length: 2 2")),
    "a length in hex": garbled(head(b"Content-Length: 0x2")),
    "a fraction of a length": garbled(head(b"Content-Length: 2.0")),
    "a length in other digits": garbled(head("Content-Length: ٢".encode())),
    "two lengths in different letters": garbled(head(b"Content-Length: 2", b"content-length: 4")),
    "chunked and length": garbled(head(b"Transfer-Encoding: chunked", b"Content-Length: 2", body=chunked(b"ok"))),
    "coding identity": garbled(head(b"Transfer-Encoding: identity", b"Content-Length: 2")),
    "coding that only looks like chunked": garbled(head(b"Transfer-Encoding: xchunked", body=chunked(b"ok"))),
    "chunked with a parameter": garbled(head(b"Transfer-Encoding: chunked;q=1", body=chunked(b"ok"))),
    "an empty coding": garbled(head(b"Transfer-Encoding:", b"Content-Length: 2")),
    "coding behind a space": garbled(sized(b"Transfer-Encoding : chunked")),
    # its fields try to be more than fields
    "bare CR in a value": garbled(sized(b"X-A: a\rSet-Cookie: b")),
    "NUL in a value": garbled(sized(b"X-A: a\0b")),
    "control character in a value": garbled(sized(b"X-A: a\x01b")),
    "DEL in a value": garbled(sized(b"X-A: a\x7fb")),
    "control character in the reason": garbled(b"HTTP/1.1 200 O\x0bK\r\nContent-Length: 2\r\n\r\nok"),
    "bare CR in the reason": garbled(b"HTTP/1.1 200 O\rK\r\nContent-Length: 2\r\n\r\nok"),
    "space in a name": garbled(sized(b"X A: a")),
    "space before the colon": garbled(sized(b"X-A : a")),
    "an empty name": garbled(sized(b": a")),
    "a field that is too long": garbled(sized(b"X-A: " + b"a" * 40_000)),
    "a head that is too long": garbled(sized(*[b"X-A: " + b"a" * 10_000] * 7)),
    "too many fields": garbled(sized(*[b"X-A: a"] * 300)),
    "control character in an interim head": garbled(b"HTTP/1.1 103 Early Hints\r\nLink: a\x01\r\n\r\n" + OK),
    "a whole answer in a value": garbled(b"HTTP/1.1 200 OK\r\nX-A: a\rHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    "a name with a NUL": garbled(sized(b"X\0A: a")),
    "a name that is not ASCII": garbled(sized("X-Ä: a".encode())),
    "a name in parentheses": garbled(sized(b"(X): a")),
    "a line without a colon": garbled(sized(b"X-A")),
    "a reason that is too long": garbled(b"HTTP/1.1 200 " + b"O" * 40_000 + b"\r\nContent-Length: 2\r\n\r\nok"),
    "a name that is too long": garbled(sized(b"X" * 40_000 + b": a")),
    "a head that never ends": garbled(HEAD + b"X-A: aaaaaaaa\r\n" * 100_000),
    # its body is not what was announced
    "bad chunk size at once": garbled(CHUNKED + b"2\r\nok\r\nzz\r\n"),
    "bad chunk size in the middle": broken(CHUNKED, b"2\r\nok\r\n", b"zz\r\n", then="stay", code="upstream_protocol"),
    "negative chunk size": broken(CHUNKED, b"2\r\nok\r\n", b"-2\r\n", then="stay", code="upstream_protocol"),
    "chunk size beyond 64 bits": broken(CHUNKED, b"fffffffffffffffff\r\n", then="stay", code="upstream_protocol"),
    "chunk longer than its size": broken(CHUNKED, b"2\r\nok", b"more", then="stay", code="upstream_protocol"),
    "too many trailers": broken(
        CHUNKED, b"2\r\nok\r\n", b"0\r\n" + b"a: b\r\n" * 300 + b"\r\n", then="stay", code="upstream_protocol"
    ),
    "a trailer section that is too large": broken(
        CHUNKED,
        b"2\r\nok\r\n",
        b"0\r\n" + b"X: aaaaaaaaa\r\n" * 200 + b"Y: " + b"a" * 8_000 + b"\r\n\r\n",
        then="stay",
        code="upstream_protocol",
    ),
    "a trailer with a control character": broken(
        CHUNKED, b"2\r\nok\r\n", b"0\r\nX: a\x01b\r\n\r\n", then="stay", code="upstream_protocol"
    ),
    "a trailer that states a length": broken(
        CHUNKED, b"2\r\nok\r\n", b"0\r\nContent-Length: 2\r\n\r\n", then="stay", code="upstream_protocol"
    ),
    "a trailer without a colon": broken(
        CHUNKED, b"2\r\nok\r\n", b"0\r\nX\r\n\r\n", then="stay", code="upstream_protocol"
    ),
    "chunks with bare LF": garbled(CHUNKED + b"2\nok\n0\n\n"),
    "a chunk size in hex notation": broken(CHUNKED, b"2\r\nok\r\n", b"0x2\r\n", then="stay", code="upstream_protocol"),
    "a chunk size with a plus": broken(CHUNKED, b"2\r\nok\r\n", b"+2\r\n", then="stay", code="upstream_protocol"),
    "a chunk without a size": broken(CHUNKED, b"2\r\nok\r\n", b"\r\nok\r\n", then="stay", code="upstream_protocol"),
    "an extension with a NUL": broken(CHUNKED, b"2\r\nok\r\n", b"2;a\0\r\n", then="stay", code="upstream_protocol"),
    "body behind an interim head": garbled(b"HTTP/1.1 103 Early Hints\r\nContent-Length: 4\r\n\r\nevil" + OK),
    "chunked body in a 204": garbled(b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"ok")),
    "chunked body in a 304": garbled(
        b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"ok")
    ),
    "unannounced body in a 204": garbled(b"HTTP/1.1 204 No Content\r\n\r\nok"),
    "unannounced body in the answer to HEAD": garbled(HEAD + b"\r\nok", method="HEAD"),
    "chunked body in the answer to HEAD": garbled(CHUNKED + chunked(b"ok"), method="HEAD"),
    "body in a 204": garbled(b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok"),
    "body in a 304": garbled(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nok"),
    "body in the answer to HEAD": garbled(OK, method="HEAD"),
    "extra bytes at once": garbled(OK + b"extra"),
    "extra bytes after Connection: close": garbled(sized(b"Connection: close") + b"extra"),
    # it switches, or never comes to the point
    "an unasked 101": garbled(b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
    "a bare 101": garbled(b"HTTP/1.1 101 Switching\r\n\r\n"),
    "a 101 to a HEAD": garbled(b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", method="HEAD"),
    "a flood of interim heads of all kinds": garbled(
        b"".join(b"HTTP/1.1 %d Interim\r\n\r\n" % (100 + number % 100) for number in (0, *range(2, 18)))
    ),
    "a flood of interim heads, each on its own": Case(drips_interim, 502, "upstream_protocol"),
    "drips its head": Case(drips, 504, "upstream_timeout"),
    "a flood of interim heads": garbled(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 17),
    "no first byte": late(),
    "slow in the middle of the head": late(b"HTTP/1.1 200 OK\r\n", b"X-A: a\r\n"),
    "an interim head and no more": late(b"HTTP/1.1 102 Processing\r\n\r\n"),
    "stalls after a small sized head": late(SIZED),
    "stalls in a small sized body": broken(SIZED, b"1234", then="stay", code="upstream_timeout"),
    "stalls after a chunked head": broken(CHUNKED, then="stay", code="upstream_timeout"),
    "stalls in a chunked body": broken(CHUNKED, b"2\r\nok\r\n", then="stay", code="upstream_timeout"),
    "stalls in a chunk size": broken(CHUNKED, b"2\r\nok\r\n", b"1", then="stay", code="upstream_timeout"),
    "stalls in a trailer": broken(CHUNKED, b"2\r\nok\r\n", b"0\r\nX-Su", then="stay", code="upstream_timeout"),
    "stalls before the end of its trailers": broken(
        CHUNKED, b"2\r\nok\r\n", b"0\r\nX: 1\r\n", then="stay", code="upstream_timeout"
    ),
    "stalls in an interim head": late(b"HTTP/1.1 103 Early Hints\r\nLink: "),
    "stalls in a close-delimited body": broken(ENDLESS, b"ok", then="stay", code="upstream_timeout"),
    "stalls, to HTTP/1.0": broken(CHUNKED, b"2\r\nok\r\n", then="stay", code="upstream_timeout", version="1.0"),
    "takes no more of the body": Case(takes_no_body, 504, "upstream_timeout", method="POST", upload=UPLOAD),
    "answers before the body has come": Case(
        answers_early, 413, outcome="delivered", quantity=1, body=b"no", method="POST", upload=UPLOAD
    ),
    "refuses an upload and closes": Case(
        refuses_a_body_and_closes, 403, outcome="delivered", quantity=1, body=b"no", method="POST", upload=UPLOAD
    ),
    "refuses an upload and resets": Case(
        refuses_a_body_and_resets, 403, outcome="delivered", quantity=1, body=b"no", method="POST", upload=UPLOAD
    ),
    # nothing is wrong with it, or nothing that hurts
    "sixteen interim heads": passed(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 16 + OK),
    "a 100 that nobody expects": passed(b"HTTP/1.1 100 Continue\r\n\r\n" + OK),
    "a length with zeros before it": passed(head(b"Content-Length: 00002")),
    "chunked in capitals": passed(head(b"Transfer-Encoding: CHUNKED", body=chunked(b"ok"))),
    "chunked with extensions": passed(CHUNKED + b'2;a="b;c"\r\nok\r\n0;d\r\n\r\n'),
    "another protocol of the same shape": passed(b"RTSP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    "a 205 with a body": passed(b"HTTP/1.1 205 Reset\r\nContent-Length: 2\r\n\r\nok", status=205),
    "a 206 unasked": passed(
        b"HTTP/1.1 206 Partial\r\nContent-Length: 2\r\nContent-Range: bytes 0-1/9\r\n\r\nok", status=206
    ),
    "a 426": passed(b"HTTP/1.1 426 No\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nok", status=426),
    "an upgrade that is only offered": passed(sized(b"Connection: upgrade", b"Upgrade: h2c")),
    "a value that is not ASCII": passed(sized(b"X-A: \xff\xfe")),
    "its own 407": passed(b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 2\r\n\r\nok", status=407),
    "its own 499": passed(b"HTTP/1.1 499 No\r\nContent-Length: 2\r\n\r\nok", status=499),
    "empty lines before the head": passed(b"\r\n\r\n" + OK),
    "no reason": passed(b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok"),
    "bare LF as line ends": passed(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok"),
    "bare LF in a value, which ends it": passed(sized(b"X-A: a\nX-B: b")),
    "encoded line breaks in a value": passed(sized(b"Location: /%0d%0aSet-Cookie:%20a=b")),
    "a folded field": passed(sized(b"X-A: a\r\n b")),
    "a second answer at once": passed(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
    "its own 404": passed(b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nok", status=404),
    "its own 500": passed(b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nok", status=500, quantity=0),
    "its own 503": passed(b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nok", status=503, quantity=0),
    "status 999": passed(b"HTTP/1.1 999 No\r\nContent-Length: 2\r\n\r\nok", status=999, quantity=0),
    # it states what is to be charged
    "states 7": passed(sized(b"X-Usage-Quantity: 7"), quantity=7),
    "states 0": passed(sized(b"X-Usage-Quantity: 0"), quantity=0),
    "states 15 digits": passed(sized(b"X-Usage-Quantity: 999999999999999"), quantity=999_999_999_999_999),
    "states 16 digits": passed(sized(b"X-Usage-Quantity: 1000000000000000")),
    "states a fraction": passed(sized(b"X-Usage-Quantity: 1.5")),
    "states a negative": passed(sized(b"X-Usage-Quantity: -7")),
    "states digits that are not ASCII": passed(sized("X-Usage-Quantity: ٧".encode())),
    "states nothing": passed(sized(b"X-Usage-Quantity:")),
    "states it twice": passed(sized(b"X-Usage-Quantity: 7", b"x-usage-quantity: 7")),
    "states 7 and fails": passed(
        b"HTTP/1.1 500 No\r\nX-Usage-Quantity: 7\r\nContent-Length: 2\r\n\r\nok", status=500, quantity=0
    ),
    "states 7 and breaks off": broken(HEAD + b"X-Usage-Quantity: 7\r\nContent-Length: 10\r\n\r\n", b"1234"),
}


@asynccontextmanager
async def gateway_before(tmp_path: Path, upstream: str) -> AsyncIterator[RunningGateway]:
    async with raw_agent(answering(OK)) as well:
        routes = ROUTES.format(upstream=upstream, well=well.url)
        async with running_gateway(tmp_path, routes=routes, general=UNLIMITED) as gateway:
            yield gateway


async def one_and_the_next(gateway: RunningGateway, case: Case) -> tuple[Heard, Heard]:
    """Make the case's request, then an ordinary one, on the same connection if that is still good."""
    async with calling(gateway) as caller:
        data = message(gateway, case.method, case.path, body=case.upload, version=case.version)
        sending = asyncio.create_task(caller.send(data))
        heard = await caller.hear(case.method)
        sending.cancel()
        if heard.ending != "whole" or heard.closes or case.version == "1.0":
            return heard, await call(gateway)
        await caller.send(message(gateway))
        return heard, await caller.hear()


async def judge(gateway: RunningGateway, case: Case, *, before: int = 0) -> None:
    """`before`: so many requests there were."""
    heard, following = await one_and_the_next(gateway, case)
    assert (heard.status, heard.ending) == (case.status, case.ending)
    if case.body is not None:
        assert heard.body == case.body
    if case.code and case.ending == "whole" and case.method != "HEAD":
        assert heard["content-type"] == "application/problem+json"
        assert f'"code":"{case.code}"'.encode() in heard.body
    assert (following.status, following.body) == (200, b"ok")
    line, _ = (await gateway.log_lines(before + 2))[before:]
    assert (line["status"], line["code"]) == (case.status, case.code or None)
    assert (line["outcome"], line["quantity"]) == (case.outcome, case.quantity)
    record, after = (await gateway.records_when(before + 2))[before:]
    assert (record["outcome"], record["quantity"], record["status"]) == (case.outcome, case.quantity, case.status)
    assert record["id"] == heard["x-request-id"] == line["request_id"]
    assert (after["outcome"], after["quantity"]) == ("delivered", 1)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_an_agent_that_misbehaves_harms_only_its_own_request(case: Case, tmp_path: Path) -> None:
    async with raw_agent(at_first(case.agent)) as agent, gateway_before(tmp_path, agent.url) as gateway:
        await judge(gateway, case)


def once_good(script: Script) -> Script:
    """Gives a good answer, and plays this after it."""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await saying(OK, then="again")(reader, writer)
        await script(reader, writer)

    return play


def on_a_used_connection(case: Case) -> Case:
    """Of a method that is not repeated."""
    return case if case.method == "HEAD" else replace(case, method="POST", upload=b"hi")


USED = {name: on_a_used_connection(case) for name, case in CASES.items() if not case.upload and case.agent != hangs_up}


@pytest.mark.parametrize("case", USED.values(), ids=USED.keys())
async def test_an_agent_that_answered_before_misbehaves_with_the_same_outcome(case: Case, tmp_path: Path) -> None:
    """The request waits for it without a task."""
    async with raw_agent(at_first(once_good(case.agent))) as agent, gateway_before(tmp_path, agent.url) as gateway:
        assert (await call(gateway)).status == 200
        await judge(gateway, case, before=1)


@asynccontextmanager
async def nobody_listens() -> AsyncIterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def backlog_is_full() -> AsyncIterator[str]:
    """A listening socket that is never accepted from: once its queue is full, the kernel drops further callers."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as sock:
        address = sock.getsockname()
        waiting = []
        for _ in range(3):
            queued = socket.socket()
            queued.setblocking(False)
            queued.connect_ex(address)
            waiting.append(queued)
        yield f"http://127.0.0.1:{address[1]}"
        for queued in waiting:
            queued.close()


@asynccontextmanager
async def no_such_name() -> AsyncIterator[str]:
    """The name service is not ours to run, so it is the one thing here that is made up."""
    real = socket.getaddrinfo

    def fail(host: str, *more: object, **named: object) -> object:
        if host == "agent.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *more, **named)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", fail)
        yield "http://agent.invalid:8081"


@pytest.mark.parametrize(
    ("nowhere", "status", "code"),
    [
        pytest.param(nobody_listens, 502, "upstream_connect", id="connection refused"),
        pytest.param(no_such_name, 502, "upstream_connect", id="no such name"),
        pytest.param(backlog_is_full, 504, "upstream_timeout", id="connection not accepted"),
    ],
)
async def test_a_call_that_reached_no_agent_leaves_no_record(
    nowhere: object, status: int, code: str, tmp_path: Path
) -> None:
    async with nowhere() as upstream, gateway_before(tmp_path, upstream) as gateway:  # type: ignore[operator]
        async with calling(gateway) as caller:
            path = "/api/crowded/x" if status == 504 else "/api/email/x"
            await caller.send(message(gateway, "POST", path, body=b"hello"))
            heard = await caller.hear()
            await caller.send(message(gateway, path="/api/well/x"))
            following = await caller.hear()
        log = await gateway.log_lines(2)
        records = await gateway.settled()
        balances = gateway.balances()
    assert (heard.status, log[0]["status"], log[0]["code"]) == (status, status, code)
    assert f'"code":"{code}"'.encode() in heard.body
    assert (log[0]["outcome"], log[0]["quantity"], log[0]["upstream_ms"]) == (None, 0, None)
    assert [record["id"] for record in records] == [following["x-request-id"]]
    assert [(each["held"], each["spent"]) for each in balances] == [(0, 1)]


async def test_a_caller_who_leaves_ends_an_endless_answer_at_once(tmp_path: Path) -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CHUNKED)
        while True:
            writer.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
            await writer.drain()

    async with raw_agent(at_first(endless)) as agent, gateway_before(tmp_path, agent.url) as gateway:
        caller = await Caller.to(gateway.port)
        await caller.send(message(gateway))
        await caller.head()
        await caller.chunk()
        caller.leave()
        await asyncio.wait_for(agent.closed.wait(), PATIENCE)
        (record,) = await gateway.records_when(1)
        (line,) = await gateway.log_lines(1)
        following = await call(gateway)
    assert (record["outcome"], record["quantity"], record["status"]) == ("client_closed", 1, 499)
    assert (line["status"], line["code"], line["outcome"]) == (499, "client_closed", "client_closed")
    assert following.status == 200


def test_the_table_is_a_table() -> None:
    assert len(CASES) >= 150
