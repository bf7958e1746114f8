"""Heads have their time and their size, and a connection its place."""

import asyncio
from pathlib import Path

import pytest

from tests.agents import answering, talk
from tests.edge.callers import OK, Caller, answering_when, caller, gateway_before, is_refused, pieces
from tests.edge.hostile import CHUNKED, GET, POST, request
from tests.edge.serving import edge
from tests.patience import PATIENCE

# Deadlines


async def test_a_connection_that_says_nothing_is_closed_without_an_answer(tmp_path: Path) -> None:
    async with gateway_before(tmp_path, answering(OK)) as (gateway, _):
        assert await talk(gateway.port, b"") == b""
        await talk(gateway.port, request(), until=b"{}")
        (line,) = await gateway.log_lines(1)
    assert line["status"] == 200


async def test_a_first_head_that_is_not_complete_in_time_gets_408(tmp_path: Path) -> None:
    async with gateway_before(tmp_path, answering(OK)) as (gateway, received):
        answer = await talk(gateway.port, b"GET /api/email/x HT")
        (line,) = await gateway.log_lines(1)
    assert is_refused(answer, 408, "request_timeout")
    assert (line["status"], line["code"]) == (408, "request_timeout")
    assert not received


async def test_half_a_head_on_a_connection_that_is_to_end_gets_503_at_once(tmp_path: Path) -> None:
    async with edge() as running, caller(running.port) as slow:
        slow.writer.write(b"GET /a HTTP/1.1\r\nHo")
        while not (running.connections and running.connections[0].talk.begun):
            await slow.pause(0.001)
        running.connections[0].end()
        answer = await slow.all()
    assert [each.code for each in running.refused] == ["draining"]
    assert answer.startswith(b"HTTP/1.1 5")


async def test_a_dribbling_head_gets_no_extra_time(tmp_path: Path) -> None:
    async with gateway_before(tmp_path, answering(OK)) as (gateway, _):
        began = asyncio.get_running_loop().time()
        async with caller(gateway.port) as slow:
            slow.writer.write(b"GET /")
            while not slow.ended:
                slow.writer.write(b"a")
                await slow.pause(0.02)
            took = asyncio.get_running_loop().time() - began
    assert is_refused(slow.got, 408, "request_timeout")
    assert 0.19 <= took < 2


async def test_a_later_head_on_a_kept_connection_has_the_same_deadline(tmp_path: Path) -> None:
    async with gateway_before(tmp_path, answering(OK)) as (gateway, _), caller(gateway.port) as slow:
        slow.writer.write(request())
        await slow.hear(b"{}")
        slow.writer.write(b"GET /api/email/y")
        answer = await slow.all()
    assert is_refused(answer.partition(b"{}")[2], 408, "request_timeout")


async def test_a_kept_connection_may_be_idle_for_longer_than_a_head_may_take(tmp_path: Path) -> None:
    async with gateway_before(tmp_path, answering(OK)) as (gateway, _), caller(gateway.port) as slow:
        for count in (1, 2):
            slow.writer.write(request())
            await slow.hear(b"{}", count)
            await slow.pause(0.3)
        assert not slow.ended


@pytest.mark.parametrize("between", [b"", b"\r\n", b"\r\n\r\n"])
async def test_a_head_that_began_behind_another_request_has_the_deadline_too(tmp_path: Path, between: bytes) -> None:
    async with gateway_before(tmp_path, answering(OK)) as (gateway, received), caller(gateway.port) as slow:
        slow.writer.write(request() + between + b"GET /api/email/y HTTP/1.1\r\nHost: gw\r\n")
        answer = await slow.all()
    first, _, second = answer.partition(b"{}")
    assert first.startswith(b"HTTP/1.1 200 ")
    assert is_refused(second, 408, "request_timeout")
    assert len(received) == 1


async def test_a_late_head_does_not_harm_the_request_before_it(tmp_path: Path) -> None:
    go = asyncio.Event()

    async with gateway_before(tmp_path, answering_when(go)) as (gateway, _), caller(gateway.port) as slow:
        asyncio.get_running_loop().call_later(0.35, go.set)
        slow.writer.write(request() + b"GET /api/em")
        answer = await slow.all()
    first, _, second = answer.partition(b"{}")
    assert first.startswith(b"HTTP/1.1 200 ")
    assert is_refused(second, 408, "request_timeout")


@pytest.mark.parametrize("blank", [b"\r\n", b"\r\n\r\n", b"\r"])
async def test_blank_lines_behind_a_request_begin_nothing(tmp_path: Path, blank: bytes) -> None:
    async with gateway_before(tmp_path, answering(OK)) as (gateway, _), caller(gateway.port) as slow:
        slow.writer.write(request() + blank)
        await slow.hear(b"{}")
        await slow.pause(0.3)
        assert not slow.ended


async def test_the_timer_for_idle_connections_leaves_a_head_alone_that_has_begun() -> None:
    async with edge(keepalive_timeout=0.15) as running, caller(running.port) as slow:
        slow.writer.write(GET)
        await slow.pause(0.3)
        assert not slow.ended
        slow.writer.write(b"\r\nHost: gw\r\n\r\n")
        await slow.hear(b"\r\n\r\nok")
        await slow.all()  # idle now, and so it is closed
    assert len(running.asked) == 1


async def test_trailers_that_do_not_end_have_the_deadline_of_a_body(tmp_path: Path) -> None:
    async with gateway_before(tmp_path, answering(OK)) as (gateway, received):
        answer = await talk(gateway.port, request(POST, CHUNKED, body=b"1\r\na\r\n0\r\nX: a"))
    assert is_refused(answer, 408, "request_timeout")
    assert not any(each.endswith(b"0\r\n\r\n") for each in received)


async def test_a_caller_that_hangs_up_in_the_middle_of_a_head_is_forgotten() -> None:
    async with edge() as running:
        async with caller(running.port) as brief:
            brief.writer.write(GET)
        async with caller(running.port) as next_one:
            next_one.writer.write(request())
            await next_one.hear(b"ok")
        assert not running.refused
        assert len(running.asked) == 1


# Sizes


def head_of(size: int) -> bytes:
    return request(GET, b"X: " + b"a" * (size - len(request(GET, b"X: "))))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(head_of(4096), 200, id="a head at the limit"),
        pytest.param(head_of(4097), 431, id="one byte more"),
        pytest.param(head_of(4098)[:-1], 431, id="one byte more and never ended"),
        pytest.param(head_of(9000)[:-4], 431, id="far above and never ended"),
        pytest.param(request(GET, *[b"A: b"] * 700), 431, id="many small fields"),
        pytest.param(b"\r\n" * 2049, 431, id="nothing but blank lines"),
        pytest.param(request(b"GET /api/email/" + b"a" * 4069 + b" HTTP/1.1"), 431, id="a target that fits"),
        pytest.param(request(b"GET /api/email/" + b"a" * 4070 + b" HTTP/1.1"), 414, id="a target too long"),
        pytest.param(b"GET /" + b"a" * 9000, 414, id="a target that never ends"),
    ],
)
async def test_a_size_is_judged_alike_however_the_head_arrives(tmp_path: Path, data: bytes, expected: int) -> None:
    async with gateway_before(tmp_path, answering(OK), 'max_header_bytes = "4KiB"') as (gateway, _):
        for size in (10_000, 900, 97):
            async with caller(gateway.port) as sender:
                for piece in pieces(data, size):
                    sender.writer.write(piece)
                    await sender.pause(0.001)
                answer = await sender.hear(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 %d " % expected), size


async def test_a_second_head_is_measured_from_its_own_beginning(tmp_path: Path) -> None:
    async with (
        gateway_before(tmp_path, answering(OK), 'max_header_bytes = "4KiB"') as (gateway, _),
        caller(gateway.port) as sender,
    ):
        for count in (1, 2, 3):
            for piece in pieces(head_of(4096), 2000):
                sender.writer.write(piece)
                await sender.pause(0.005)
            await sender.hear(b"{}", count)


# Too many


async def test_a_connection_too_many_is_told_so_before_it_asks(tmp_path: Path) -> None:
    async with gateway_before(tmp_path, answering(OK), "max_connections = 1") as (gateway, received):
        async with caller(gateway.port) as first:
            first.writer.write(request())
            await first.hear(b"{}")
            for data in (b"", request(), b"garbage\r\n\r\n"):
                answer = await talk(gateway.port, data)
                assert is_refused(answer, 503, "overloaded")
                assert b"\r\nRetry-After: 1\r\n" in answer
            first.writer.write(request())
            await first.hear(b"{}", 2)
        lines = await gateway.log_lines(5)
    assert [line["code"] for line in lines].count("overloaded") == 3
    assert b"".join(received).count(b" HTTP/1.1\r\n") == 2


async def test_a_place_that_is_left_can_be_taken() -> None:
    async with edge(max_connections=1) as running:
        async with caller(running.port) as first:
            first.writer.write(request())
            await first.hear(b"ok")
            (connection,) = running.connections
        async with asyncio.timeout(PATIENCE):
            while connection.connected:
                await asyncio.sleep(0)
        async with caller(running.port) as second:
            second.writer.write(request())
            assert (await second.hear(b"ok")).startswith(b"HTTP/1.1 200 ")


async def test_far_too_many_are_not_even_answered() -> None:
    async with edge(max_connections=1) as running:
        callers = [Caller(*await asyncio.open_connection("127.0.0.1", running.port)) for _ in range(80)]
        answers = [await each.all() for each in callers[1:]]
        for each in callers:
            each.close()
    assert answers.count(b"") == 80 - 1 - 64
    assert sum(answer.startswith(b"HTTP/1.1 503 ") for answer in answers) == 64
