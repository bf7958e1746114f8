"""Everybody who reports sees every request once, when it has ended, and no failure of one is another's."""

import asyncio
import logging
from typing import Any

import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpClient, AiohttpServer

from gatewayd.errors import UpstreamConnect
from gatewayd.exchange import EXCHANGE, Exchange
from gatewayd.policies import access_log, auth, faults, quota, rate_limit
from gatewayd.policies.access_log import REPORTERS, tell
from tests.clocks import ManualClock
from tests.policies.lines import logged
from tests.policies.rings import EMAIL, Ring, until
from tests.problems import ask

PATH = "/api/email/x"
INNER = (access_log.POLICY, faults.POLICY, rate_limit.POLICY, quota.POLICY, auth.POLICY)
PLANS = "[plans.free]\ndefault = true\n"


async def test_who_leaves_before_an_answer_is_logged_as_499(aiohttp_server: AiohttpServer, clock: ManualClock) -> None:
    ring = Ring(PLANS + EMAIL, clock, *INNER)
    waiting, left = asyncio.Event(), asyncio.Event()

    async def never(_: web.Request) -> web.StreamResponse:
        waiting.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        raise AssertionError

    ring.handler = never
    server = await aiohttp_server(ring.app)
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /api/email/x HTTP/1.1\r\nHost: h\r\nAuthorization: %s\r\n\r\n" % ring_token(ring))
    await until(waiting)
    writer.close()
    await until(left)
    found = logged(ring.reported[0])
    assert (found["status"], found["code"]) == (499, "client_closed")


def ring_token(ring: Ring) -> bytes:
    return ring.bearer()["Authorization"].encode()


async def test_an_answer_that_was_known_when_the_caller_left_keeps_its_status(clock: ManualClock) -> None:
    reported: list[Exchange] = []
    exchange = Ring(EMAIL, clock).generations.begin(FakeRequest())  # type: ignore[arg-type]
    app = web.Application()
    app[REPORTERS] = (reported.append,)
    request = {EXCHANGE: exchange}

    async def cancelled(_: web.Request) -> web.StreamResponse:
        exchange.refused(UpstreamConnect())
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await access_log.POLICY.middleware(Carrier(request, app), cancelled)  # type: ignore[arg-type]
    assert (reported[0].status, reported[0].code) == (502, "upstream_connect")


class FakeRequest:
    method = "GET"
    remote = None


class Carrier(dict[Any, Any]):
    """As much of a request as the policy looks at."""

    def __init__(self, fields: dict[Any, Any], app: web.Application) -> None:
        super().__init__(fields)
        self.app = app
        self._state = self


async def test_a_reporter_that_fails_spoils_neither_the_answer_nor_the_others(
    aiohttp_client: AiohttpClient, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    ring = Ring(PLANS + EMAIL, clock, access_log.POLICY)

    def broken(_: Exchange) -> None:
        raise ValueError("no such metric")

    ring.app[REPORTERS] = (broken, ring.reported.append)
    client = await aiohttp_client(ring.app)
    with caplog.at_level(logging.ERROR):
        answered = await ask(client, PATH)
    assert (answered.status, len(ring.reported)) == (200, 1)
    assert f"request {ring.reported[0].request_id} could not be reported" in caplog.text


def test_a_request_too_broken_to_be_read_has_a_line_too(clock: ManualClock) -> None:
    exchange = Ring(EMAIL, clock).generations.begin(Broken())  # type: ignore[arg-type]
    tell((), exchange)
    found = logged(exchange)
    assert (found["method"], found["path"], found["client"], found["duration_ms"]) == ("UNKNOWN", None, "unix", 0)


class Broken:
    remote = ""
    method = "UNKNOWN"
