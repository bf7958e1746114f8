"""A line says all that it must and no more than it may, whatever was said of other requests before it."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from pytest_aiohttp.plugin import AiohttpClient

from gatewayd.exchange import EXCHANGE, Exchange
from gatewayd.framing import Target
from gatewayd.model import Identity, Outcome
from gatewayd.policies import access_log, auth, faults, log_line, quota, rate_limit
from gatewayd.policies.log_line import line
from tests.clocks import ManualClock
from tests.policies.lines import logged
from tests.policies.rings import EMAIL, Ring
from tests.problems import ask

PATH = "/api/email/x"
INNER = (access_log.POLICY, faults.POLICY, rate_limit.POLICY, quota.POLICY, auth.POLICY)
PLANS = "[plans.free]\ndefault = true\n"


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
    assert len(log_line._quotations) <= log_line._KEPT


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
        ("bytes_in", 70_000, {"bytes_in": 70_000}),
        ("bytes_out", 7, {"bytes_out": 7}),
        ("correlation_id", "the-proxy's", {"correlation_id": "the-proxy's"}),
        ("trace_id", "a" * 32, {"trace_id": "a" * 32}),
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


SAID = st.tuples(
    st.sampled_from(["/a", "/b"]),
    st.sampled_from(["GET", "PUT"]),
    st.sampled_from([200, 503]),
    st.sampled_from(["", "timeout"]),
    st.sampled_from([None, *Outcome]),
    st.sampled_from([0, 5]),
    st.sampled_from([0, 9]),
    st.sampled_from(["", "pages"]),
    st.sampled_from([0, 3]),
    st.booleans(),
    st.sampled_from(["", "ann", "bob"]),
    st.sampled_from(["192.0.2.7", "192.0.2.8"]),
    st.sampled_from(["", "null"]),
)


@given(st.lists(SAID, min_size=2, max_size=20))
def test_whatever_was_said_before_a_line_says_its_own_request(several: list[tuple[Any, ...]]) -> None:
    clock = ManualClock()
    exchange = Exchange(make_mocked_request("GET", "/"), Ring(EMAIL, clock).generation, clock)
    for path, *fields, ignored, user, client, correlation in several:
        exchange.target, exchange.client, exchange.correlation_id = Target(path, "", path), client, correlation
        exchange.method, exchange.status, exchange.code, exchange.outcome = fields[:4]
        exchange.bytes_in, exchange.bytes_out, exchange.unit, exchange.quantity = fields[4:]
        exchange.misstated = ignored
        exchange._identity = Identity(user, None, frozenset(), None, None, 0)
        found = logged(exchange)
        names = ("method", "status", "code", "outcome", "bytes_in", "bytes_out", "unit", "quantity")
        assert [found[name] for name in names] == [None if value == "" else value for value in fields]
        assert (found["path"], found["client"], found["quantity_ignored"]) == (path, client, ignored)
        assert (found["user"], found["correlation_id"]) == (user or None, correlation or None)


def test_what_cannot_be_said_changes_nothing_of_what_is_said_next(clock: ManualClock) -> None:
    exchange = Exchange(make_mocked_request("GET", "/"), Ring(EMAIL, clock).generation, clock)
    exchange.target = Target("/said", "", "/said")
    before = logged(exchange)
    exchange.method = exchange.code = "\ud800"  # half a pair, which is no character of JSON
    for _ in range(2):
        with pytest.raises(TypeError):
            line(exchange)
    exchange.method, exchange.code = "GET", ""
    assert logged(exchange) == before


def test_what_is_remembered_of_lines_is_bounded(clock: ManualClock) -> None:
    exchange = Exchange(make_mocked_request("GET", "/"), Ring(EMAIL, clock).generation, clock)
    for number in range(log_line._KEPT + 10):
        text = str(number)
        exchange.target = Target(text, "", text)
        exchange._identity = Identity(text, None, frozenset(), None, None, 0)
        assert logged(exchange)["path"] == logged(exchange)["user"] == text
    long = "x" * 10_000
    exchange.target = Target(long, "", long)
    exchange._identity = Identity(long, None, frozenset(), None, None, 0)
    assert logged(exchange)["path"] == logged(exchange)["user"] == long
    for kept in (log_line._calls, log_line._callers, log_line._quotations):
        assert 0 < len(kept) <= log_line._KEPT
        assert long not in kept


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


@given(st.floats(0, 4e9))
def test_the_time_is_rfc_3339_to_the_millisecond_and_never_a_second_off(utc: float) -> None:
    ring = Ring(EMAIL, ManualClock(utc=utc))
    exchange = ring.generations.begin(make_mocked_request("GET", "/"))
    text = json.loads(line(exchange))["time"]
    said = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC).timestamp()
    assert abs(said - utc) <= 0.0011
