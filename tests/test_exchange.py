"""The one record of a request: ids, who is calling, and books that close once."""

import asyncio
import logging

import pytest

from gatewayd import exchange as exchange_module
from gatewayd.errors import StoreUnavailable, TokenMissing, TokenRevoked, Unauthenticated, UpstreamConnect
from gatewayd.exchange import Exchange
from gatewayd.framing import Head
from gatewayd.model import Identity
from tests.clocks import ManualClock
from tests.patience import PATIENCE
from tests.policies.rings import EMAIL, Ring

PLANS = "[plans.free]\ndefault = true\n[plans.pro]\n"


class Request:
    method = "GET"
    remote = "192.0.2.1"


@pytest.fixture
def ring(clock: ManualClock) -> Ring:
    return Ring(PLANS + EMAIL, clock)


@pytest.fixture
def exchange(ring: Ring) -> Exchange:
    return ring.generations.begin(Request())  # type: ignore[arg-type]


def with_token(exchange: Exchange, token: str) -> Exchange:
    exchange.head = Head([], {b"authorization": [f"Bearer {token}".encode()]})
    return exchange


def test_a_fresh_exchange_knows_its_times_and_nothing_else(exchange: Exchange, clock: ManualClock) -> None:
    assert (exchange.started_at, exchange.started) == (clock.utc(), clock.monotonic())
    assert exchange.fields == [("X-Trace-ID", exchange.request_id), ("X-Request-ID", exchange.request_id)]
    assert (exchange.status, exchange.code, exchange.route.name, exchange.client) == (0, "", "", "192.0.2.1")
    assert exchange.proved is None
    assert (exchange.asked, exchange.reached, exchange.answered) == (0.0, 0.0, 0.0)


def test_the_overhead_is_the_time_before_an_agent_was_asked_and_after_its_answer(
    exchange: Exchange, clock: ManualClock
) -> None:
    clock.advance(0.25)
    exchange.asked = clock.monotonic()
    clock.advance(9)
    exchange.ended = clock.monotonic()
    assert exchange.overhead == 0.25
    exchange.answered = clock.monotonic()
    clock.advance(0.5)
    exchange.ended = clock.monotonic()
    assert exchange.overhead == 0.75


def test_a_request_that_no_agent_was_asked_for_is_the_gateways_own(exchange: Exchange, clock: ManualClock) -> None:
    clock.advance(2)
    exchange.ended = clock.monotonic()
    assert exchange.overhead == 2


async def test_who_is_calling_is_verified_once(ring: Ring, exchange: Exchange) -> None:
    with_token(exchange, ring.token("ann"))
    assert (await exchange.identity()).user == "ann"
    assert await exchange.caller() is await exchange.identity()
    assert exchange.proved is await exchange.identity()
    assert ring.verifier.asked == 1


async def test_a_revoked_token_is_refused_though_it_was_verified_before(ring: Ring, exchange: Exchange) -> None:
    token = ring.token("ann")
    assert (await with_token(exchange, token).identity()).user == "ann"
    ring.accounts.revoked.add("ann")
    later = with_token(ring.generations.begin(Request()), token)  # type: ignore[arg-type]
    with pytest.raises(TokenRevoked) as caught:
        await later.identity()
    assert (caught.value.status, caught.value.code) == (401, "token_invalid")
    assert caught.value.headers == (("WWW-Authenticate", 'Bearer realm="gatewayd", error="invalid_token"'),)
    assert (await later.caller(), later.proved) == (None, None)


async def test_a_refused_caller_is_refused_alike_at_every_question(ring: Ring, exchange: Exchange) -> None:
    with_token(exchange, "a.b.c")
    refusals = []
    for _ in range(2):
        with pytest.raises(Unauthenticated) as caught:
            await exchange.identity()
        refusals.append(caught.value)
    assert refusals[0] is refusals[1]
    assert await exchange.caller() is None
    assert exchange.proved is None
    assert ring.verifier.asked == 1


async def test_without_a_token_nobody_is_asked_to_verify_one(ring: Ring, exchange: Exchange) -> None:
    with pytest.raises(TokenMissing):
        await exchange.identity()
    assert ring.verifier.asked == 0


async def test_keys_that_cannot_be_had_are_not_taken_for_a_bad_token(ring: Ring, exchange: Exchange) -> None:
    async def away(token: str) -> Identity:
        raise StoreUnavailable

    ring.verifier.verify = away  # type: ignore[method-assign]
    with_token(exchange, ring.token())
    with pytest.raises(StoreUnavailable):
        await exchange.caller()


async def test_the_plan_does_not_change_under_a_request(ring: Ring, exchange: Exchange) -> None:
    identity = await with_token(exchange, ring.token()).identity()
    before = exchange.plan(identity)
    ring.accounts.plans["ann"] = "pro"
    assert before is exchange.plan(identity)
    assert before is ring.settings.plans["free"]


async def test_books_close_once_and_at_once(exchange: Exchange) -> None:
    closed: list[Exchange] = []

    def conclusion(of: Exchange) -> "asyncio.Future[None]":
        closed.append(of)
        future = asyncio.get_running_loop().create_future()
        future.set_result(None)
        return future

    exchange.on_conclusion(conclusion)
    closing = exchange.conclude()
    assert (len(closing), closed) == (1, [exchange])
    assert exchange.conclude() == []
    await exchange.close_books()
    assert closed == [exchange]


async def test_a_slow_ledger_keeps_nobody_for_longer_than_the_bound(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange_module, "SETTLE_WAIT", 0.02)
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    exchange.on_conclusion(lambda _: future)
    async with asyncio.timeout(PATIENCE):
        await exchange.close_books()
    assert not future.done()
    future.cancel()
    await asyncio.sleep(0)


def test_an_answer_is_kept_back_two_seconds_at_most() -> None:
    assert exchange_module.SETTLE_WAIT == 2.0


async def test_books_that_could_not_be_closed_are_told_to_the_operator(
    exchange: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.set_exception(StoreUnavailable())
    exchange.on_conclusion(lambda _: future)
    with caplog.at_level(logging.ERROR):
        await exchange.close_books()
    assert f"the books of request {exchange.request_id} could not be closed" in caplog.text


def test_a_refusal_is_noted_with_status_and_code(exchange: Exchange) -> None:
    exchange.refused(UpstreamConnect())
    assert (exchange.status, exchange.code) == (502, "upstream_connect")


async def test_all_who_asked_are_concluded_and_the_last_comes_first(exchange: Exchange) -> None:
    order: list[str] = []
    for name in ("quota", "another"):

        async def conclusion(_: Exchange, name: str = name) -> None:
            order.append(name)

        exchange.on_conclusion(conclusion)
    await exchange.close_books()
    assert order == ["another", "quota"]


def test_whatever_is_added_goes_out_behind_the_ids_and_a_trace_that_goes_on_is_named_from_then_on(
    exchange: Exchange,
) -> None:
    exchange.add("RateLimit", '"user-minute";r=0;t=3')
    exchange.add("Server-Timing", "gateway;dur=0.100, agent;dur=1.000")
    own, request_id = exchange.ids(), exchange.request_id
    exchange.trace("a" * 32, "01")
    assert own == f"X-Trace-ID: {request_id}\r\nX-Request-ID: {request_id}\r\n".encode()
    assert exchange.ids() == f"X-Trace-ID: {'a' * 32}\r\nX-Request-ID: {request_id}\r\n".encode()
    assert exchange.fields == [
        ("X-Trace-ID", "a" * 32),
        ("X-Request-ID", request_id),
        ("RateLimit", '"user-minute";r=0;t=3'),
        ("Server-Timing", "gateway;dur=0.100, agent;dur=1.000"),
    ]
