"""Whatever goes wrong further in becomes a problem document, or a visible break."""

import asyncio
import logging

import aiohttp
import pytest
from aiohttp import web
from aiohttp.typedefs import Handler
from pytest_aiohttp.plugin import AiohttpClient, AiohttpServer

from gatewayd.errors import BadRequest, BodyTooLarge, QuotaExhausted, RateLimited, Refusal
from gatewayd.exchange import EXCHANGE
from tests.agents import talk
from tests.clocks import ManualClock
from tests.policies.rings import EMAIL, Ring
from tests.problems import ask

PATH = "/api/email/x"


def failing(error: BaseException) -> Handler:
    async def handle(_: web.Request) -> web.StreamResponse:
        raise error

    return handle


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        pytest.param(RateLimited(retry_after=3), 429, "rate_limited", id="a refusal"),
        pytest.param(
            QuotaExhausted(unit="u", limit=1, used=1, plan="free", resets_at=""), 402, "quota_exhausted", id="402"
        ),
        pytest.param(RuntimeError("secret of ours"), 500, "internal_error", id="a fault of ours"),
        pytest.param(web.HTTPNotFound(), 404, "route_unknown", id="aiohttp found no path"),
    ],
)
async def test_every_error_becomes_a_problem_document(
    aiohttp_client: AiohttpClient, clock: ManualClock, error: Exception, status: int, code: str
) -> None:
    ring = Ring(EMAIL, clock)
    ring.handler = failing(error)
    client = await aiohttp_client(ring.app)
    answered = await ask(client, PATH)
    assert answered.problem(status, code, unsaid="secret")["agent"] == "email"
    assert (ring.seen[0].status, ring.seen[0].code) == (status, code)


async def test_a_fault_of_ours_is_in_the_log_under_its_request_id(
    aiohttp_client: AiohttpClient, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    ring = Ring(EMAIL, clock)
    ring.handler = failing(RuntimeError("the reason"))
    client = await aiohttp_client(ring.app)
    with caplog.at_level(logging.ERROR):
        answered = await ask(client, PATH)
    assert f"request {answered.headers['X-Request-ID']} failed" in caplog.text
    assert "the reason" in caplog.text


async def test_a_refusal_is_no_fault_of_ours_and_is_not_in_the_log(
    aiohttp_client: AiohttpClient, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    ring = Ring(EMAIL, clock)
    ring.handler = failing(RateLimited(retry_after=3))
    client = await aiohttp_client(ring.app)
    await ask(client, PATH)
    assert not caplog.records


@pytest.mark.parametrize("refusal", [BadRequest(), BodyTooLarge()], ids=["400", "413"])
async def test_a_refusal_that_spoils_the_connection_closes_it(
    aiohttp_client: AiohttpClient, clock: ManualClock, refusal: Refusal
) -> None:
    ring = Ring(EMAIL, clock)
    ring.handler = failing(refusal)
    client = await aiohttp_client(ring.app)
    assert (await ask(client, PATH)).headers["Connection"] == "close"


async def test_a_refusal_of_head_has_no_body(aiohttp_server: AiohttpServer, clock: ManualClock) -> None:
    ring = Ring(EMAIL, clock)
    ring.handler = failing(RateLimited(retry_after=3))
    server = await aiohttp_server(ring.app)
    assert server.port is not None
    answer = await talk(server.port, b"HEAD /api/email/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 429 ")
    assert b"Content-Type: application/problem+json" in head
    assert body == b""


def half_sent(error: Exception) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = 10
        await response.prepare(request)
        await response.write(b"half")
        exchange = request[EXCHANGE]
        exchange.sent, exchange.status = True, 200
        raise error

    return handle


@pytest.mark.parametrize("error", [RuntimeError("ours"), RateLimited(retry_after=1)], ids=["a fault", "a refusal"])
async def test_an_answer_that_has_begun_breaks_off_and_becomes_no_other(
    aiohttp_client: AiohttpClient, clock: ManualClock, error: Exception
) -> None:
    ring = Ring(EMAIL, clock)
    ring.handler = half_sent(error)
    client = await aiohttp_client(ring.app)
    with pytest.raises(aiohttp.ClientError):
        await ask(client, PATH)
    assert ring.seen[0].status == 200
    assert ring.seen[0].code == (error.code if isinstance(error, Refusal) else "internal_error")


async def test_an_answer_that_ends_with_its_connection_is_reset_when_it_breaks_off(
    aiohttp_server: AiohttpServer, clock: ManualClock
) -> None:
    ring = Ring(EMAIL, clock)

    async def handle(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(b"HTTP/1.0 200 OK\r\n\r\nhalf")
        request[EXCHANGE].sent = True
        raise RuntimeError

    ring.handler = handle
    server = await aiohttp_server(ring.app)
    assert server.port is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /api/email/x HTTP/1.0\r\n\r\n")
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
