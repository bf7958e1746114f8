"""What each transport does alone: loops, forks, proxies."""

import asyncio
import contextlib
import os
import signal
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gatewayd_sdk as sdk
import pytest
from gatewayd_sdk._core.headers import Headers

from tests.certificates import write_certificate
from tests.patience import PATIENCE
from tests.sdk.clients import CUT, KINDS, each, entered, http, listening, saying, server, time_passes, using
from tests.sdk.test_sessions import accept


async def test_a_client_of_another_event_loop_says_so() -> None:
    async with (
        server(http(200, '{"agents": []}')) as agent,
        sdk.AsyncGateway(f"http://127.0.0.1:{agent.port}") as client,
    ):
        await client.agents.list()
        with pytest.raises(sdk.ConfigurationError, match="another event loop"):
            await asyncio.to_thread(asyncio.run, client.agents.list())


async def test_a_forked_child_takes_connections_of_its_own() -> None:
    async with server(http(200, '{"agents": []}')) as agent:

        def twice() -> None:
            with sdk.Gateway(f"http://127.0.0.1:{agent.port}") as client:
                client.agents.list()
                client._caller.transport._process = -1  # as if the parent's connections were here
                client.agents.list()

        await asyncio.to_thread(twice)
        assert len(agent.received) == 2


@pytest.mark.parametrize("kind", ["asyncio", "blocking"])
async def test_a_proxy_is_asked_for_the_whole_url(kind: str) -> None:
    async with server(http(200, '{"agents": []}')) as agent:
        proxy = f"http://127.0.0.1:{agent.port}"
        if kind == "asyncio":
            async with sdk.AsyncGateway("http://gateway.invalid", proxy=proxy) as client:
                await client.agents.list()
        else:

            def ask() -> None:
                with sdk.Gateway("http://gateway.invalid", proxy=proxy) as client:
                    client.agents.list()

            await asyncio.to_thread(ask)
    assert bytes(agent.received[0]).startswith(b"GET http://gateway.invalid/gateway/v1/agents HTTP/1.1")


async def test_a_token_may_come_from_a_coroutine() -> None:
    async def token() -> str:
        return "t0ken"

    async with server(http(200, '{"agents": []}')) as agent:
        client = sdk.AsyncGateway(f"http://127.0.0.1:{agent.port}", token)
        await client.agents.list()
        await client.close()
    assert b"Bearer t0ken" in bytes(agent.received[0])


async def test_an_answer_that_drips_ends_at_the_total_timeout() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1")
        await reader.read()

    async with listening(script) as agent:

        def ask() -> None:
            timeout = sdk.Timeout(total=0.1)
            with sdk.Gateway(f"http://127.0.0.1:{agent.port}", timeout=timeout) as client:
                client.agents.list()

        with pytest.raises(sdk.APITimeoutError):
            await asyncio.to_thread(ask)


def test_header_fields_are_a_mapping() -> None:
    assert list(Headers([("A", "1")])) == ["a"]


class Machine:
    """One child process, to see what a fork does."""

    @staticmethod
    def child(work: Callable[[], object]) -> int:
        """The exit code of a child that does it: 0 if it was done."""
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                work()
                code = 0
            finally:
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


async def test_clients_work_in_a_forked_child_and_go_on_in_the_parent() -> None:
    async with server(http(200, '{"agents": []}')) as agent:
        url = f"http://127.0.0.1:{agent.port}"
        blocking, asynchronous = sdk.Gateway(url, lambda: "t"), sdk.AsyncGateway(url)
        await asyncio.to_thread(blocking.agents.list)
        await asynchronous.agents.list()

        def work() -> None:
            blocking.agents.list()
            blocking.close()

        async def ask() -> None:
            await asynchronous.agents.list()
            await asynchronous.close()

        def in_a_loop() -> None:
            asyncio._set_running_loop(None)  # the parent's, which is not run here
            asyncio.run(ask())

        assert await asyncio.to_thread(Machine.child, work) == 0
        assert await asyncio.to_thread(Machine.child, in_a_loop) == 0
        await asyncio.to_thread(blocking.agents.list)
        await asynchronous.agents.list()
        blocking.close()
        await asynchronous.close()
    assert len(agent.received) == 4


async def test_a_cancelled_call_leaves_nothing_behind() -> None:
    asked = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read()

    async with listening(script) as agent:
        client = sdk.AsyncGateway(f"http://127.0.0.1:{agent.port}")
        calls = [
            asyncio.create_task(client.agents.list()),
            asyncio.create_task(client.stream("GET", "/api/x").__aenter__()),
            asyncio.create_task(client.support.connect().__aenter__()),
        ]
        before = asyncio.all_tasks()
        await asked.wait()
        while len(agent.received) < 3:
            await asyncio.sleep(0)
        for call in calls:
            call.cancel()
        done = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(each) for each in done] == [asyncio.CancelledError] * 3
        async with asyncio.timeout(PATIENCE):
            await agent.closed.wait()
        session = client._caller.transport._session
        assert session is not None
        assert session.connector is not None
        assert not session.connector._acquired
        await client.close()
    assert not {task for task in asyncio.all_tasks() if "gatewayd_sdk" in repr(task)} - before


INTERRUPTED = """
import os, signal, sys, threading
from gatewayd_sdk import Gateway
signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever started the tests may ignore it
gateway = Gateway(sys.argv[1])
print("asking", flush=True)
try:
    {call}
except KeyboardInterrupt:
    pool = gateway._caller.transport._pool
    print("interrupted", threading.active_count(), flush=True)
    gateway.close()
    sys.stdin.readline()
"""


@pytest.mark.parametrize("call", ["gateway.agents.list()", "gateway.support.connect()"], ids=["call", "session"])
async def test_ctrl_c_ends_a_call_and_its_connection_at_once(call: str) -> None:
    asked, gone = asyncio.Event(), asyncio.Event()

    async def script(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read()
        gone.set()

    async with listening(script) as agent:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", "-c", INTERRUPTED.format(call=call), f"http://127.0.0.1:{agent.port}"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(PATIENCE):
            await asked.wait()
            process.send_signal(signal.SIGINT)
            await gone.wait()  # while the process lives
            out, err = await process.communicate(b"\n")
    assert (out.split(), err) == ([b"asking", b"interrupted", b"1"], b"")


async def test_calls_go_over_tls_with_a_ca_of_ones_own(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await saying(http(200, '{"agents": []}'))(reader, writer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as tls:
        url = f"https://127.0.0.1:{tls.sockets[0].getsockname()[1]}"
        for kind in KINDS:
            found = await using(kind, url, lambda client: client.agents.list(), tls=certificate)
            assert found.agents == ()
            with pytest.raises(sdk.APIConnectionError, match="tls="):
                await using(kind, url, lambda client: client.agents.list(), max_retries=0)
            with pytest.raises(sdk.APIConnectionError, match="does it speak http"):
                await using(kind, url.replace("https", "http"), lambda client: client.agents.list(), max_retries=0)


@pytest.mark.parametrize("kind", KINDS)
async def test_https_where_http_is_spoken_says_so(kind: str) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(http(400))
        await writer.drain()

    async with listening(script) as agent:
        url = f"https://127.0.0.1:{agent.port}"
        with pytest.raises(sdk.APIConnectionError, match="is it http that is spoken there"):
            await using(kind, url, lambda client: client.agents.list(), max_retries=0)


async def test_a_session_goes_through_a_proxy_by_connect() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"CONNECT gateway.invalid:80 HTTP/1")
        assert b"proxy-authorization: Basic YTpi" in head
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writer.write(http(403, "{}"))
        await writer.drain()

    async with listening(script) as agent:
        proxy = f"http://a:b@127.0.0.1:{agent.port}"
        with pytest.raises(sdk.PermissionDeniedError):
            await using("blocking", "http://gateway.invalid", lambda client: client.support.connect(), proxy=proxy)
    with pytest.raises(sdk.ConfigurationError, match="http:// proxies"):
        await using("blocking", "http://a", lambda client: client.support.connect(), proxy="https://b")


async def test_a_crowd_beyond_the_connections_is_told_in_time() -> None:
    async with server(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1") as agent:
        url = f"http://127.0.0.1:{agent.port}"

        def crowd() -> None:
            with (
                sdk.Gateway(url, max_connections=1, max_retries=0) as client,
                client.stream("GET", "/api/x"),
                pytest.raises(sdk.APITimeoutError, match="max_connections"),
            ):
                client.with_options(timeout=sdk.Timeout(total=0.2)).agents.list()

        await asyncio.to_thread(crowd)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("mode", "start"),
    [
        ("whole", b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n"),
        ("whole", b"HTTP/1.1 200 OK\r\nX-A: "),
        ("whole", b"HTTP/1.1 200 O"),
        ("stream", b"HTTP/1.1 200 OK\r\nX-A: "),
        ("stream", b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 O"),
    ],
    ids=["body", "fields", "status", "fields of a stream", "status of a stream"],
)
async def test_bytes_that_drip_do_not_stretch_the_total(kind: str, mode: str, start: bytes) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(start)
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.02)

    def call(client: Any) -> Any:
        return client.agents.list() if mode == "whole" else opened(client.stream("GET", "/api/x"))

    async with listening(script) as agent:
        url, timeout = f"http://127.0.0.1:{agent.port}", sdk.Timeout(total=0.2)
        with pytest.raises(sdk.APITimeoutError):
            await using(kind, url, call, timeout=timeout, max_retries=0)


async def opened(stream: Any) -> None:
    async with entered(stream):
        pass


@pytest.mark.parametrize("kind", KINDS)
async def test_a_stream_goes_on_beyond_the_total(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loop, go_on = asyncio.get_running_loop(), asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nwas")
        await writer.drain()
        await go_on.wait()
        writer.write(b"all")
        await writer.drain()

    async def read(client: Any) -> Any:
        async with entered(client.stream("GET", "/api/x")) as stream:
            time_passes(kind, monkeypatch, 31)
            loop.call_soon_threadsafe(go_on.set)
            return await each(stream.read())

    async with listening(script) as agent:
        url, timeout = f"http://127.0.0.1:{agent.port}", sdk.Timeout(total=30)
        assert await using(kind, url, read, timeout=timeout, max_retries=0) == b"wasall"


async def test_two_tasks_cannot_receive_from_one_session() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await accept(reader, writer)
        await reader.read(8)

    async with (
        listening(script) as agent,
        sdk.AsyncGateway(f"http://127.0.0.1:{agent.port}") as client,
        client.support.connect() as session,
    ):
        first = asyncio.create_task(session.receive())
        await asyncio.sleep(0)
        with pytest.raises(sdk.ConfigurationError, match="two tasks"):
            await session.receive()
        await session.close()
        with pytest.raises(sdk.APIConnectionError, match="session is over"):
            await first


async def test_a_small_call_is_one_write() -> None:
    came: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 20):
            came.append(data)
            writer.write(http(200, "{}"))

    async with listening(script) as agent:
        url = f"http://127.0.0.1:{agent.port}"
        for kind in KINDS:
            await using(kind, url, lambda client: client.request("POST", "/api/x", json={"a": 1}))
    assert [data.endswith(b'\r\n\r\n{"a":1}') for data in came] == [True, True]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: a\r\n" % number for number in range(500)) + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 70_000 + b"\r\n\r\n",
    ],
    ids=["version", "fields", "line"],
)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_head_beyond_bounds_is_no_answer(kind: str, answer: bytes) -> None:
    async with server(answer) as agent:
        url = f"http://127.0.0.1:{agent.port}"
        with pytest.raises(sdk.APIConnectionError):
            await using(kind, url, lambda client: client.agents.list(), max_retries=0)


async def test_an_answer_to_the_end_of_the_connection_is_read_to_it() -> None:
    folded = b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n folded\r\n\r\n"
    async with server(folded + b'{"agents": []}' + CUT) as agent:
        url = f"http://127.0.0.1:{agent.port}"
        assert (await using("blocking", url, lambda client: client.agents.list())).agents == ()
