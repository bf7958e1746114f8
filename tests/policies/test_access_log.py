"""Everybody who reports sees every request once, when it has ended; and a line says no more than it may."""

import asyncio
import json
import logging
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from pytest_aiohttp.plugin import AiohttpClient, AiohttpServer

from gatewayd.errors import UpstreamConnect
from gatewayd.exchange import EXCHANGE, Exchange
from gatewayd.framing import Target
from gatewayd.model import Identity, Outcome
from gatewayd.policies import access_log, auth, faults, quota, rate_limit
from gatewayd.policies.access_log import REPORTERS, line, tell
from tests.clocks import ManualClock
from tests.policies.rings import EMAIL, Ring, until
from tests.problems import ask

PATH = "/api/email/x"
INNER = (access_log.POLICY, faults.POLICY, rate_limit.POLICY, quota.POLICY, auth.POLICY)
PLANS = "[plans.free]\ndefault = true\n"


def logged(exchange: Exchange) -> dict[str, Any]:
    text = line(exchange)
    assert text.endswith(b"}\n")
    assert text.count(b"\n") == 1
    document: dict[str, Any] = json.loads(text)
    return document


async def test_a_line_has_every_field_of_a_delivered_call(aiohttp_client: AiohttpClient, clock: ManualClock) -> None:
    ring = Ring(PLANS + EMAIL + "usage = { unit = 'pages', cost = 2 }\n", clock, *INNER)

    async def deliver(request: web.Request) -> web.StreamResponse:
        exchange = request[EXCHANGE]
        clock.advance(0.010)
        exchange.reached = clock.monotonic()
        clock.advance(0.5)
        exchange.first_byte = clock.monotonic()
        clock.advance(1)
        exchange.bytes_in, exchange.bytes_out, exchange.outcome, exchange.status = 5, 9, Outcome.DELIVERED, 201
        exchange.misstated = True
        return web.Response(status=201)

    ring.handler = deliver
    client = await aiohttp_client(ring.app)
    await ask(client, PATH + "?q=query", {**ring.bearer(), "traceparent": f"00-{'a' * 32}-{'b' * 16}-01"})
    [exchange] = ring.reported
    assert logged(exchange) == {
        "time": "2025-11-24T16:00:00.000Z",
        "request_id": exchange.request_id,
        "trace_id": "a" * 32,
        "correlation_id": None,
        "client": "127.0.0.1",
        "user": "ann",
        "plan": "free",
        "method": "GET",
        "path": PATH,
        "route": "email",
        "agent": "email",
        "status": 201,
        "code": None,
        "outcome": "delivered",
        "bytes_in": 5,
        "bytes_out": 9,
        "duration_ms": 1510.0,
        "upstream_ms": 1500.0,
        "first_byte_ms": 500.0,
        "unit": "pages",
        "quantity": 2,
        "quantity_ignored": True,
        "generation": 1,
    }


@given(user=st.text(max_size=200), path=st.text(max_size=200), client=st.text(max_size=20), seconds=st.floats(0, 1e6))
def test_whatever_others_choose_is_quoted(user: str, path: str, client: str, seconds: float) -> None:
    clock = ManualClock()
    ring = Ring(EMAIL, clock)
    exchange = Exchange(make_mocked_request("GET", "/"), ring.generation, clock)
    exchange.target, exchange.client, exchange.ended = Target(path, "", path), client, exchange.started + seconds
    exchange._identity = Identity(user, None, frozenset(), None, None, 0)
    found = logged(exchange)
    assert (found["user"], found["path"], found["client"]) == (user or None, path or None, client or None)
    assert found["duration_ms"] == pytest.approx(seconds * 1000, abs=0.001)
    assert logged(exchange) == found
    assert len(access_log._quotations) <= access_log._KEPT


@pytest.mark.parametrize(
    ("change", "value", "fields"),
    [
        ("client", "192.0.2.7", {"client": "192.0.2.7"}),
        ("method", "PUT", {"method": "PUT"}),
        ("target", Target("/other", "", "/other"), {"path": "/other"}),
        ("status", 503, {"status": 503}),
        ("code", "timeout", {"code": "timeout"}),
        ("outcome", Outcome.FAILED, {"outcome": "failed"}),
        ("unit", "pages", {"unit": "pages"}),
        ("quantity", 7, {"quantity": 7}),
        ("misstated", True, {"quantity_ignored": True}),
        ("_identity", Identity("bob", None, frozenset(), None, None, 0), {"user": "bob"}),
    ],
)
def test_what_was_said_of_another_request_is_not_said_of_this_one(
    change: str, value: object, fields: dict[str, object], clock: ManualClock
) -> None:
    ring = Ring(PLANS + EMAIL, clock)
    exchange = Exchange(make_mocked_request("GET", "/"), ring.generation, clock)
    exchange._identity = Identity("ann", None, frozenset(), None, None, 0)
    exchange.status = 200
    before = logged(exchange)
    kept = getattr(exchange, change)
    setattr(exchange, change, value)
    assert logged(exchange) == before | fields
    setattr(exchange, change, kept)
    assert logged(exchange) == before


@given(texts=st.lists(st.tuples(st.text(), st.text(), st.text()), max_size=40))
def test_a_piece_that_was_said_is_found_by_all_three_of_its_texts(texts: list[tuple[str, str, str]]) -> None:
    sayings = access_log._Sayings()
    last: dict[str, tuple[str, str]] = {}
    for key, first, second in texts:
        said = f"{key} {first} {second}"
        assert sayings.find(key, first, second) == (said if last.get(key) == (first, second) else "")
        assert sayings.keep(key, first, second, said) == said
        last[key] = first, second


def test_what_is_remembered_of_lines_is_bounded() -> None:
    sayings = access_log._Sayings()
    for number in range(access_log._KEPT + 10):
        sayings.keep(str(number), "", "", "text")
    sayings.keep("long", "", "", "x" * 10_000)
    assert len(sayings) <= access_log._KEPT
    assert not sayings.find("long", "", "")


async def test_a_line_of_a_refusal_says_so_and_names_no_agent_time(
    aiohttp_client: AiohttpClient, clock: ManualClock
) -> None:
    ring = Ring(PLANS + EMAIL, clock, *INNER)
    client = await aiohttp_client(ring.app)
    await ask(client, PATH, {"Authorization": "Bearer forged.token.text"})
    found = logged(ring.reported[0])
    assert (found["status"], found["code"], found["user"], found["plan"]) == (401, "token_invalid", None, None)
    assert (found["upstream_ms"], found["first_byte_ms"], found["outcome"], found["unit"]) == (None, None, None, None)
    assert "forged" not in json.dumps(found)


async def test_a_token_a_query_and_a_body_are_never_logged(aiohttp_client: AiohttpClient, clock: ManualClock) -> None:
    ring = Ring(PLANS + EMAIL, clock, *INNER)
    client = await aiohttp_client(ring.app)
    headers = ring.bearer()
    await ask(client, PATH + "?word=querysecret", headers, method="POST", data=b"bodysecret")
    text = line(ring.reported[0]).decode()
    for secret in ("querysecret", "bodysecret", "Bearer", *headers["Authorization"].split()[1].split(".")):
        assert secret not in text


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


@given(st.floats(0, 4e9))
def test_the_time_is_rfc_3339_to_the_millisecond_and_never_a_second_off(utc: float) -> None:
    ring = Ring(EMAIL, ManualClock(utc=utc))
    exchange = ring.generations.begin(Broken())  # type: ignore[arg-type]
    text = json.loads(line(exchange))["time"]
    said = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC).timestamp()
    assert abs(said - utc) <= 0.0011
