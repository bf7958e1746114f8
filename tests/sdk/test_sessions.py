"""WebSocket sessions against a server that says exactly what it is told, for both clients alike."""

import asyncio
import json
import re
import socket
import ssl
import threading
from base64 import b64encode
from hashlib import sha1
from pathlib import Path
from typing import Any

import gatewayd_sdk as sdk
import pytest
from gatewayd_sdk._core.frames import Frame, Opcode
from urllib3.util.wait import wait_for_read

from tests.agents import Script
from tests.certificates import write_certificate
from tests.pauses import skip
from tests.sdk.clients import KINDS, each, entered, http, listed, listening, server, using
from tests.sdk.test_frames import as_server

pytestmark = pytest.mark.parametrize("kind", KINDS)
WELCOME = as_server(Frame(Opcode.TEXT, b'{"type": "welcome", "session": "s"}'))
CLOSE = as_server(Frame(Opcode.CLOSE, (1000).to_bytes(2)))


def connect(client: Any) -> Any:
    return client.support.connect()


async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *fields: str) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    key = re.search(rb"(?i)sec-websocket-key: (\S+)", head)
    assert key is not None
    accepted = b64encode(sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()
    lines = ["HTTP/1.1 101 Go", "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {accepted}"]
    writer.write("\r\n".join([*lines, "X-Request-ID: req-1", *fields, "", ""]).encode())


def saying(*frames: bytes, stay: bool = True) -> Script:
    """Accepts, says all that at once, and listens until the other says goodbye."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await accept(reader, writer)
        writer.write(b"".join(frames))
        await writer.drain()
        while stay and (heard := await reader.read(65536)) and heard[0] != 0x88:
            pass

    return script


async def talked(kind: str, script: Script, do: Any, **options: Any) -> Any:
    async def scenario(client: Any) -> Any:
        async with entered(client.support.connect()) as session:
            return await do(session)

    async with listening(script) as agent:
        return await using(kind, f"http://127.0.0.1:{agent.port}", scenario, **options)


async def test_messages_that_come_with_the_handshake_are_not_lost(kind: str) -> None:
    async def do(session: Any) -> Any:
        return await each(session.receive()), session.request_id

    message, request_id = await talked(kind, saying(WELCOME), do)
    assert (message.type, message.session, request_id) == ("welcome", "s", "req-1")


async def test_going_through_a_session_ends_with_an_orderly_close(kind: str) -> None:
    got = await talked(kind, saying(WELCOME, as_server(Frame(Opcode.PING, b"")), WELCOME, CLOSE), listed)
    assert [message.type for message in got] == ["welcome", "welcome"]


@pytest.mark.parametrize(
    ("frames", "stay", "told"),
    [
        ([WELCOME, as_server(Frame(Opcode.CLOSE, (1011).to_bytes(2) + b"fell over"))], True, "code 1011: fell over"),
        ([WELCOME], False, "broke off"),
        ([b"\x81\x01\xff"], True, "broke off"),
        ([b"\xc1\x00"], True, "broke off"),
    ],
    ids=["told so", "gone", "no UTF-8", "no protocol"],
)
async def test_a_session_that_broke_off_is_an_error(kind: str, frames: list[bytes], stay: bool, told: str) -> None:
    with pytest.raises(sdk.APIConnectionError, match=told):
        await talked(kind, saying(*frames, stay=stay), listed)


@pytest.mark.parametrize("text", [b"no JSON", b"[1]", b'{"session": "s"}'], ids=str)
async def test_what_is_no_message_of_the_agent_is_told(kind: str, text: bytes) -> None:
    with pytest.raises(sdk.APIResponseError, match="a message of the session"):
        await talked(kind, saying(as_server(Frame(Opcode.TEXT, text))), listed)


async def test_silence_is_given_up_and_pings_are_no_silence(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    idle, waits = 30.0, []
    silence = threading.Event()

    def wait(sock: socket.socket, seconds: float) -> bool:
        waits.append(seconds)
        return not silence.is_set() and wait_for_read(sock, seconds)

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await accept(reader, writer)
        for _ in range(3):
            writer.write(as_server(Frame(Opcode.PING, b"")))
            await reader.readexactly(6)
            skip(idle * 0.7)
        writer.write(WELCOME)
        await reader.read()

    async def do(session: Any) -> Any:
        assert (await each(session.receive())).type == "welcome"
        silence.set()
        if kind == "asyncio":
            asyncio.get_running_loop().call_soon(skip, idle + 1)
        with pytest.raises(sdk.APITimeoutError, match="given up"):
            await each(session.receive())
        with pytest.raises(sdk.APIConnectionError, match="session is over"):
            await each(session.send("more"))

    monkeypatch.setattr("gatewayd_sdk._blocking.websocket.wait_for_read", wait)
    await talked(kind, script, do, timeout=sdk.Timeout(idle=idle))
    assert set(waits) == ({idle} if kind == "blocking" else set()), "every ping gave it the whole time again"


async def test_a_refused_session_is_the_error_that_it_is_and_may_pass_the_second_time(kind: str) -> None:
    refusals = iter([http(503, json.dumps({"code": "draining"}), "Retry-After: 0")])

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (refusal := next(refusals, None)) is None:
            return await saying(WELCOME)(reader, writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(refusal)
        return await writer.drain()

    message = await talked(kind, script, lambda session: each(session.receive()))
    assert message.type == "welcome"
    quota = http(402, json.dumps({"code": "quota_exhausted", "unit": "api_calls"}))
    async with server(quota) as agent:
        with pytest.raises(sdk.QuotaExceededError) as caught:
            await using(kind, f"http://127.0.0.1:{agent.port}", connect)
    assert (caught.value.unit, caught.value.request_id) == ("api_calls", "req-1")


@pytest.mark.parametrize(
    ("answer", "expected", "told"),
    [
        (http(200, "{}"), sdk.APIResponseError, "opens no WebSocket"),
        (b"HTTP/1.1 101 Go\r\nUpgrade: websocket\r\n\r\n", sdk.APIResponseError, "none of a WebSocket"),
        (b"", sdk.APIConnectionError, "127.0.0.1|closed"),
        (http(302, "", "Location: /login"), sdk.APIStatusError, "base URL"),
    ],
    ids=["an answer", "no key", "closed", "redirect"],
)
async def test_what_opens_no_session_is_an_error_that_says_so(
    kind: str, answer: bytes, expected: type[Exception], told: str
) -> None:
    async with server(answer) as agent:
        with pytest.raises(expected, match=told):
            await using(kind, f"http://127.0.0.1:{agent.port}", connect, max_retries=0)


async def test_a_handshake_without_answer_ends_in_time(kind: str) -> None:
    async def script(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.read()

    with pytest.raises(sdk.APITimeoutError):
        await talked(kind, script, listed, timeout=sdk.Timeout(total=0.2), max_retries=0)


async def test_a_goodbye_that_nobody_answers_is_not_waited_for_long(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatewayd_sdk._blocking.websocket.GOODBYE", 0.05)
    monkeypatch.setattr("gatewayd_sdk._asyncio.transport.GOODBYE", 0.05)

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await accept(reader, writer)
        await reader.read()

    async def do(session: Any) -> str:
        await each(session.close())
        await each(session.close())
        return "closed"

    assert await talked(kind, script, do) == "closed"


async def test_an_error_inside_leaves_at_once(kind: str) -> None:
    heard = asyncio.get_running_loop().create_future()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await accept(reader, writer)
        heard.set_result(await reader.read())

    async def do(session: Any) -> None:
        raise KeyError("the caller's own")

    with pytest.raises(KeyError, match="own"):
        await talked(kind, script, do)
    assert len(await heard) == 8  # a Close frame


async def test_a_session_goes_over_tls_with_a_ca_of_ones_own(kind: str, tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await saying(WELCOME, CLOSE)(reader, writer)
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)

    async def scenario(client: Any) -> Any:
        async with entered(client.support.connect()) as session:
            return await listed(session)

    async with listening:
        url = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        got = await using(kind, url, scenario, tls=certificate)
        with pytest.raises(sdk.APIConnectionError, match="tls="):
            await using(kind, url, scenario, max_retries=0)
    assert [message.type for message in got] == ["welcome"]
