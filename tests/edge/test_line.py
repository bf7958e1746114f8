"""A last answer arrives, and nobody is listened to for ever."""

import asyncio
import socket
import ssl
from pathlib import Path

import pytest
from aiohttp import web

from gatewayd.edge import line
from gatewayd.sent import BrokenOff, Sent
from tests.agents import answering, talk
from tests.certificates import write_certificate
from tests.edge.callers import OK, caller, gateway_before, is_refused
from tests.edge.hostile import GET, POST, request
from tests.edge.serving import edge
from tests.patience import PATIENCE, when
from tests.proxy.wire import RESET


async def test_an_answer_arrives_though_its_caller_goes_on_sending(tmp_path: Path) -> None:
    async with gateway_before(tmp_path, answering(OK), "") as (gateway, _), caller(gateway.port) as sender:
        sender.writer.write(request(GET, b"X : a"))
        for _ in range(50):
            sender.writer.write(b"a" * 100_000)
        answer = await sender.all()
    assert is_refused(answer, 400, "bad_request")


async def test_a_refused_upload_is_answered_before_it_has_ended(tmp_path: Path) -> None:
    async with (
        gateway_before(tmp_path, answering(OK), 'max_body = "1KiB"') as (gateway, _),
        caller(gateway.port) as sender,
    ):
        sender.writer.write(request(POST, b"Content-Length: 5000000", body=b"a" * 2_000_000))
        answer = await sender.all()
    assert is_refused(answer, 413, "body_too_large")


async def test_a_refusal_arrives_over_tls_and_the_connection_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "_LINGERING", 0.05)
    certificate, key = write_certificate(tmp_path)
    server = f'tls = {{ certificate = "{certificate}", key = "{key}" }}'
    context = ssl.create_default_context(cafile=certificate)
    async with gateway_before(tmp_path, answering(OK), server) as (gateway, _), asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, ssl=context)
        writer.write(request(GET, b"X : a"))
        answer = await reader.read()
        writer.close()
    assert is_refused(answer, 400, "bad_request")


async def test_nobody_is_listened_to_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "_LINGERING", 0.05)
    async with edge() as running, caller(running.port) as sender:
        sender.writer.write(b"garbage\r\n\r\n")
        await sender.all()
        with pytest.raises(ConnectionError):
            await keep_sending(sender.writer)


async def keep_sending(writer: asyncio.StreamWriter) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            writer.write(b"a" * 1000)
            await writer.drain()
            await asyncio.sleep(0)


async def test_a_caller_who_has_reset_its_connection_is_no_error_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    answered = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(OK)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        sender.close()  # which the loop has not told the edge when the answer ends
        answered.set()
        return Sent(200, keep_alive=False)

    async with edge(handler) as running, asyncio.timeout(PATIENCE):
        sender = socket.create_connection(("127.0.0.1", running.port))
        sender.sendall(request(POST, b"Content-Length: 9", body=b"a"))
        await answered.wait()
        await when(lambda: not running.connections)
    assert not caplog.records


async def test_an_answer_that_was_cut_off_is_not_waited_for() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return BrokenOff(request)

    async with edge(handler) as running, asyncio.timeout(PATIENCE):
        assert await talk(running.port, request(POST, b"Content-Length: 9", body=b"a")) == b""
