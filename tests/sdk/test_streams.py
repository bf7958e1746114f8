"""Answers that are read while they come, for both clients alike."""

import asyncio
import json
from typing import Any

import gatewayd_sdk as sdk
import pytest

from tests.sdk.clients import (
    CUT,
    KINDS,
    chunked,
    each,
    entered,
    field,
    http,
    items,
    listed,
    listening,
    sent,
    server,
    time_passes,
    using,
)

pytestmark = pytest.mark.parametrize("kind", KINDS)
EVENTS = "Content-Type: text/event-stream; charset=utf-8"
SOURCE = {"number": 1, "document": "d", "title": "t", "snippet": "s", "score": 1.5, "position": 0}


def event(name: str, data: object) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


WHOLE = (
    event("sources", {"sources": [SOURCE]}),
    event("token", {"text": "Hello "}),
    event("token", {"text": "world"}),
    event("done", {"usage": {"answer_words": 2}}),
)


async def streamed(kind: str, answer: bytes, do: Any, **options: Any) -> Any:
    async def scenario(client: Any) -> Any:
        async with entered(client.rag.chat("?", stream=True)) as stream:
            return await do(stream)

    async with server(answer) as agent:
        return await using(kind, f"http://127.0.0.1:{agent.port}", scenario, **options)


async def test_events_are_typed_and_the_result_is_that_of_the_call_at_once(kind: str) -> None:
    async def do(stream: Any) -> Any:
        return await listed(stream), stream, await each(stream.result())

    limits = ('RateLimit-Policy: "a";q=9;w=60', 'RateLimit: "a";r=8;t=1', "X-Usage-Quantity: 2")
    events, stream, result = await streamed(kind, chunked(200, *WHOLE, fields=(EVENTS, *limits)), do)
    assert [(each_one.type, each_one.text) for each_one in events] == [
        ("sources", ""), ("token", "Hello "), ("token", "world"), ("done", ""),
    ]  # fmt: skip
    assert (result.answer, result.sources[0].title) == ("Hello world", "t")
    assert (stream.request_id, stream.rate_limit.remaining) == ("req-1", 8)
    assert stream.usage == result.usage == sdk.Usage(2, {"answer_words": 2})


async def test_each_event_is_there_as_soon_as_it_was_sent(kind: str) -> None:
    go_on = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, _, rest = chunked(200, *WHOLE, fields=(EVENTS,)).partition(b"Hello")
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head + b"Hello" + rest[:12])
        await go_on.wait()
        writer.write(rest[12:])
        await writer.drain()

    async def scenario(client: Any) -> list[str]:
        got = []
        async for each_one in items(client.rag.chat("?", stream=True)):
            got.append(each_one.type)
            if each_one.text == "Hello ":
                loop.call_soon_threadsafe(go_on.set)
        return got

    async with listening(script) as agent:
        got = await using(kind, f"http://127.0.0.1:{agent.port}", scenario)
    assert got == ["sources", "token", "token", "done"]


@pytest.mark.parametrize(
    ("answer", "expected", "told"),
    [
        (chunked(200, *WHOLE[:3], fields=(EVENTS,)), sdk.APIConnectionError, "ended before its last event"),
        (chunked(200, *WHOLE[:3], fields=(EVENTS,), whole=False), sdk.APIConnectionError, "no whole answer"),
        (chunked(200, event("error", {"code": "x"}), fields=(EVENTS,)), sdk.APIResponseError, "broke off its answer"),
        (chunked(200, event("token", {"text": 1}), fields=(EVENTS,)), sdk.APIResponseError, "text: str is needed"),
        (chunked(200, b"data: {\n\n", fields=(EVENTS,)), sdk.APIResponseError, "not JSON"),
        (http(200, "<html>", "Content-Type: text/html"), sdk.APIResponseError, "text/html"),
        (http(200, "{}"), sdk.APIResponseError, "of no type"),
    ],
    ids=["no last event", "cut", "error", "member", "no JSON", "html", "no type"],
)
async def test_a_stream_that_is_not_whole_never_ends_as_if_it_were(
    kind: str, answer: bytes, expected: type[Exception], told: str
) -> None:
    with pytest.raises(expected, match=told):
        await streamed(kind, answer, listed, max_retries=0)


async def test_an_error_in_place_of_a_stream_is_the_error_that_it_is(kind: str) -> None:
    quota = json.dumps({"code": "quota_exhausted", "unit": "tokens", "limit": 9, "used": 9})
    with pytest.raises(sdk.QuotaExceededError) as caught:
        await streamed(kind, http(402, quota), listed)
    assert (caught.value.unit, caught.value.request_id) == ("tokens", "req-1")


async def test_an_endless_error_is_read_only_so_far(kind: str) -> None:
    answer = chunked(404, *[b"x" * 65536] * 40)
    with pytest.raises(sdk.NotFoundError):
        await streamed(kind, answer, listed, max_retries=0)


async def test_a_word_of_the_agents_own_is_an_event_too(kind: str) -> None:
    events = await streamed(kind, chunked(200, event("thought", [1]), *WHOLE, fields=(EVENTS,)), listed)
    assert (events[0].type, dict(events[0].extra)) == ("thought", {"data": [1]})


async def test_silence_in_a_stream_ends_as_a_timeout(kind: str) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(chunked(200, *WHOLE[:2], fields=(EVENTS,), whole=False)[:-9])
        await reader.read()

    async def scenario(client: Any) -> Any:
        async with entered(client.rag.chat("?", stream=True)) as stream:
            return await listed(stream)

    async with listening(script) as agent:
        url = f"http://127.0.0.1:{agent.port}"
        with pytest.raises(sdk.APITimeoutError):
            await using(kind, url, scenario, timeout=sdk.Timeout(idle=0.1, total=30), max_retries=0)


async def test_the_total_time_ends_with_a_streams_head(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loop, go_on = asyncio.get_running_loop(), asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head, _, rest = chunked(200, *WHOLE, fields=(EVENTS,)).partition(b"Hello")
        writer.write(head)
        await go_on.wait()
        writer.write(b"Hello" + rest)
        await writer.drain()

    async def scenario(client: Any) -> Any:
        async with entered(client.rag.chat("?", stream=True)) as stream:
            time_passes(kind, monkeypatch, 31)
            loop.call_soon_threadsafe(go_on.set)
            return await listed(stream)

    async with listening(script) as agent:
        url = f"http://127.0.0.1:{agent.port}"
        got = await using(kind, url, scenario, timeout=sdk.Timeout(total=30))
    assert len(got) == 4


async def test_leaving_closes_the_connection_and_reading_to_the_end_keeps_it(kind: str) -> None:
    async def scenario(client: Any) -> Any:
        await listed(client.rag.chat("?", stream=True))
        await listed(client.rag.chat("?", stream=True))
        async with entered(client.rag.chat("?", stream=True)) as stream:
            async for _ in items(stream):
                break
        await listed(client.rag.chat("?", stream=True))

    whole = chunked(200, *WHOLE, fields=(EVENTS,))
    unfinished = chunked(200, *WHOLE[:2], fields=(EVENTS,), whole=False).removesuffix(CUT)
    async with server(whole, whole, unfinished, whole) as agent:
        await using(kind, f"http://127.0.0.1:{agent.port}", scenario)
    assert len(agent.received) == 2


async def test_any_route_gives_events_or_bytes(kind: str) -> None:
    async def scenario(client: Any) -> Any:
        async with entered(client.stream("POST", "/api/x", json={"a": 1}, headers={"Accept": "text/plain"})) as answer:
            events = await listed(answer)
        async with entered(client.stream("GET", "/api/x", query={"yes": True})) as answer:
            read = await each(answer.read())
        async with entered(client.stream("GET", "/api/x", query={"yes": 1})) as answer:
            pieces = await listed(answer.iter_bytes())
            status, kind_of, request_id = answer.status, answer.headers["content-type"], answer.request_id
        return events, read, pieces, status, kind_of, request_id

    async with server(chunked(200, *WHOLE, fields=(EVENTS,))) as agent:
        events, read, pieces, *rest = await using(kind, f"http://127.0.0.1:{agent.port}/base", scenario)
    assert [each_one.name for each_one in events] == ["sources", "token", "token", "done"]
    assert read == b"".join(pieces) == b"".join(WHOLE)
    assert rest == [200, "text/event-stream; charset=utf-8", "req-1"]
    heads = sent(agent)
    assert [head.split(b" ")[1] for head in heads] == [b"/base/api/x", b"/base/api/x?yes=true", b"/base/api/x?yes=1"]
    assert field(heads[0], "Accept") == "text/plain"


async def test_what_is_no_stream_of_events_is_not_gone_through_as_one(kind: str) -> None:
    async def scenario(client: Any) -> Any:
        async with entered(client.stream("GET", "/api/x")) as answer:
            with pytest.raises(sdk.APIResponseError, match="iter_bytes"):
                await listed(answer)
            return await each(answer.read())

    async with server(http(200, "text", "Content-Type: text/plain")) as agent:
        assert await using(kind, f"http://127.0.0.1:{agent.port}", scenario) == b"text"
