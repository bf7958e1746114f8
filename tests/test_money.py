"""Exact about money, through the whole gateway: what is held, charged, freed and recorded, however a call ends."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gatewayd import exchange as exchange_module
from gatewayd.identity.signing import sign_token
from gatewayd.stores.open import open_reader
from tests.agents import RawAgent, Script, answering, raw_agent, read_body
from tests.clocks import ManualClock
from tests.gateways import RunningGateway, running_gateway
from tests.patience import PATIENCE
from tests.policies.rings import until
from tests.problems import Answered, ask
from tests.standins import BookLedger, SlowLedger, current, swap_stores
from tests.stores.ledgers import audit

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
RATES = '[rate_limit]\nlimits = ["100000/minute"]\nunauthenticated = ["100000/minute"]\n'


def plans(quota: int) -> str:
    return RATES + f"[plans.free]\ndefault = true\nquota = {{ api_calls = {quota} }}\n"


def route(url: str, more: str = "") -> str:
    return f'[routes.email]\nprefix = "/api/email"\nupstream = "{url}"\n{more}\n'


def stating(quantity: str, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nX-Usage-Quantity: {quantity}\r\nContent-Length: 2\r\n\r\n{{}}".encode()


@asynccontextmanager
async def gateway_before(
    tmp_path: Path, script: Script, *, quota: int = 100, more: str = "", **options: Any
) -> AsyncIterator[tuple[RunningGateway, RawAgent, aiohttp.ClientSession]]:
    """A gateway, its one agent and a caller's session; at the end the books must be in order."""
    async with raw_agent(script) as agent:
        options = {"general": plans(quota), "routes": route(agent.url, more), **options}
        async with (
            running_gateway(tmp_path, **options) as gateway,
            aiohttp.ClientSession(gateway.url, connector=aiohttp.TCPConnector(limit=0)) as session,
        ):
            yield gateway, agent, session
            await session.close()
            await gateway.stop()
            check_books(gateway)


def check_books(gateway: RunningGateway) -> None:
    """After a clean stop: the sum of the records is what is spent, and nothing is held."""
    with open_reader(gateway.settings.ledger.url.reveal()) as reader:
        audit(reader)
        assert [balance.held for balance in reader.balances() if balance.held] == []


async def call(
    gateway: RunningGateway, session: aiohttp.ClientSession, path: str = "/api/email/x", **options: Any
) -> Answered:
    return await ask(session, path, gateway.bearer(), **options)


async def usage_of(gateway: RunningGateway, session: aiohttp.ClientSession) -> dict[str, Any]:
    document = (await call(gateway, session, "/gateway/v1/usage")).json
    found: dict[str, Any] = document["units"][0]
    return found


async def test_200_parallel_callers_of_a_quota_of_17_get_17(tmp_path: Path) -> None:
    async with gateway_before(tmp_path, answering(OK), quota=17) as (gateway, _, session):
        answers = await asyncio.gather(*(call(gateway, session) for _ in range(200)))
        assert sorted(each.status for each in answers) == [200] * 17 + [402] * 183
        refused = next(each for each in answers if each.status == 402)
        document = refused.problem(402, "quota_exhausted", unsaid="ann")
        assert (document["unit"], document["limit"], document["plan"]) == ("api_calls", 17, "free")
        assert 0 < document["used"] <= 17
        usage = await usage_of(gateway, session)
        assert (usage["limit"], usage["spent"], usage["held"], usage["remaining"]) == (17, 17, 0, 0)
        assert len(await gateway.records_when(17)) == 17


async def test_the_record_is_written_before_the_last_byte_goes_out(tmp_path: Path) -> None:
    async with gateway_before(tmp_path, answering(OK)) as (gateway, _, session):
        for _ in range(10):
            answered = await call(gateway, session)
            assert answered.headers["X-Request-ID"] in gateway.written()


async def test_a_record_is_in_the_ledger_two_seconds_after_its_answer_at_the_latest(tmp_path: Path) -> None:
    async with gateway_before(tmp_path, answering(OK)) as (gateway, _, session):
        answered = await call(gateway, session)
        async with asyncio.timeout(2):
            while [record["id"] for record in gateway.records()] != [answered.headers["X-Request-ID"]]:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("method", "path", "role", "body", "status", "code"),
    [
        pytest.param("TRACE", "/api/email/x", "ops", None, 405, "method_not_allowed", id="405"),
        pytest.param("POST", "/api/email/x", "ops", b"12345", 413, "body_too_large", id="413"),
        pytest.param("GET", "/api/email/x", "guest", None, 403, "role_denied", id="403"),
        pytest.param("GET", "/api/nothing", "ops", None, 404, "route_unknown", id="404"),
    ],
)
async def test_a_refused_call_frees_what_it_held_and_leaves_no_record(
    tmp_path: Path, method: str, path: str, role: str, body: bytes | None, status: int, code: str
) -> None:
    more = 'max_body = "4B"\nroles = ["ops"]\n'
    async with gateway_before(tmp_path, answering(OK), quota=1, more=more) as (gateway, agent, session):
        for _ in range(3):
            headers = gateway.bearer(roles=[role])
            (await ask(session, path, headers, method=method, data=body)).problem(status, code)
        assert (await ask(session, "/api/email/x", gateway.bearer(roles=["ops"]))).status == 200
        assert len(await gateway.posted()) == 1
        assert len(agent.received) == 1


async def test_a_body_that_turns_out_too_large_on_its_way_leaves_no_record(tmp_path: Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 1000
            await asyncio.sleep(0)

    async with gateway_before(tmp_path, answering(OK), quota=1, more='max_body = "4KiB"') as (gateway, _, session):
        answered = await call(gateway, session, method="POST", data=endless())
        answered.problem(413, "body_too_large")
        assert (await call(gateway, session)).status == 200
        assert len(await gateway.posted()) == 1


async def test_an_agent_that_cannot_be_reached_costs_nothing(tmp_path: Path) -> None:
    async with raw_agent(answering(OK)) as gone:
        closed = gone.url
    async with gateway_before(tmp_path, answering(OK), quota=1, routes=route(closed)) as (gateway, _, session):
        for _ in range(3):
            (await call(gateway, session)).problem(502, "upstream_connect")
        assert await gateway.posted() == []


@pytest.mark.parametrize(
    ("usage", "answer", "held", "charged", "refused"),
    [
        pytest.param("cost = 3", OK, 3, 3, False, id="the cost"),
        pytest.param("cost = 3", stating("1"), 3, 1, False, id="less was stated"),
        pytest.param("cost = 3", stating("0"), 3, 0, False, id="nothing was stated"),
        pytest.param("cost = 3", stating("40"), 3, 40, True, id="more was stated: charged in full"),
        pytest.param("cost = 3, max = 8", stating("5"), 8, 5, False, id="below the maximum"),
        pytest.param("cost = 3, max = 8", stating("40"), 8, 8, False, id="above the maximum: charged at it"),
        pytest.param("cost = 3, max = 8", OK, 8, 3, False, id="with a maximum, but nothing stated"),
        pytest.param("cost = 3", stating("4.5"), 3, 3, False, id="no number"),
        pytest.param("cost = 3", stating("9" * 16), 3, 3, False, id="too many digits"),
        pytest.param("cost = 3", stating("7", "500 Internal Server Error"), 3, 0, False, id="the agent failed"),
        pytest.param("cost = 3", stating("7", "404 Not Found"), 3, 7, False, id="the agent said 404"),
        pytest.param("cost = 0", OK, 0, 0, False, id="it costs nothing"),
    ],
)
async def test_what_is_held_and_what_is_charged(
    tmp_path: Path, usage: str, answer: bytes, held: int, charged: int, refused: bool
) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await go_on.wait()
        writer.write(answer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)

    more = f"usage = {{ {usage} }}"
    async with gateway_before(tmp_path, script, quota=20, more=more) as (gateway, _, session):
        first = asyncio.create_task(call(gateway, session))
        await until(asked)
        during = await usage_of(gateway, session)
        go_on.set()
        await first
        after = await usage_of(gateway, session)
        assert (during["held"], during["spent"]) == (held, 0)
        assert (after["held"], after["spent"], after["remaining"]) == (0, charged, max(0, 20 - charged))
        assert (await gateway.posted())[0]["quantity"] == charged
        assert (await call(gateway, session)).status == (402 if refused else 200)


@pytest.mark.parametrize(
    ("charge", "answer", "charged"),
    [
        pytest.param("failed = 2", stating("7", "503 Service Unavailable"), 2, id="failed: a number"),
        pytest.param('failed = "cost"', stating("7", "503 Service Unavailable"), 7, id="failed: as stated"),
        pytest.param('failed = "cost"', b"garbage\r\n\r\n", 3, id="failed: the cost"),
        pytest.param("client_closed = 1", None, 1, id="left: a number"),
        pytest.param("client_closed = 0", None, 0, id="left: nothing"),
        pytest.param('client_closed = "cost"', None, 3, id="left: the cost"),
    ],
)
async def test_a_route_may_say_what_a_call_costs_that_did_not_end_well(
    tmp_path: Path, charge: str, answer: bytes | None, charged: int
) -> None:
    asked = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        writer.write(answer or b"")
        await reader.read()

    more = f"usage = {{ cost = 3 }}\ncharge = {{ {charge} }}"
    async with gateway_before(tmp_path, script, more=more) as (gateway, _, session):
        calling = asyncio.create_task(call(gateway, session))
        await until(asked)
        if answer is None:
            calling.cancel()
        await asyncio.wait({calling})
        [record] = await gateway.records_when(1)
        assert record["quantity"] == charged
        assert record["outcome"] == ("client_closed" if answer is None else "failed")


async def test_who_leaves_in_the_middle_of_an_answer_is_charged_what_was_stated_so_far(tmp_path: Path) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nX-Usage-Quantity: 9\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
        await reader.read()

    async with gateway_before(tmp_path, script) as (gateway, agent, session):
        async with session.get("/api/email/x", headers=gateway.bearer()) as response:
            assert await response.content.readexactly(4) == b"half"
            response.close()
        await until(agent.closed)
        [record] = await gateway.records_when(1)
        [line] = await gateway.log_lines(1)
    assert (record["outcome"], record["quantity"], record["bytes_out"]) == ("client_closed", 9, 4)
    assert (line["status"], line["code"], line["outcome"]) == (499, "client_closed", "client_closed")


async def test_the_books_are_in_order_after_every_kind_of_end(tmp_path: Path) -> None:
    ends = [
        OK,
        stating("5"),
        b"HTTP/1.1 204 No Content\r\n\r\n",
        stating("3", "500 Internal Server Error"),
        b"not http at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"",
        stating("2", "404 Not Found"),
    ]
    turn = itertools.cycle(ends)

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_body(await reader.readuntil(b"\r\n\r\n"), reader)
        writer.write(next(turn))
        await writer.drain()

    async with gateway_before(tmp_path, script, quota=10_000) as (gateway, _, session):

        async def one(number: int) -> None:
            headers = gateway.bearer(f"user{number % 3}")
            calling = ask(session, "/api/email/x", headers, method="POST", data=b"body")
            patience = 0.002 if number % 7 == 0 else 5
            await asyncio.wait_for(calling, patience)

        results = await asyncio.gather(*(one(number) for number in range(80)), return_exceptions=True)
        assert all(result is None or isinstance(result, TimeoutError | aiohttp.ClientError) for result in results)
        await session.close()
        await gateway.stop()
        outcomes = {record["outcome"] for record in await gateway.posted()}
        ids = [record["id"] for record in await gateway.posted()]
        assert {"delivered", "failed"} <= outcomes
        assert len(ids) == len(set(ids))


async def test_a_call_is_charged_to_the_month_it_began_in_and_the_new_month_begins_empty(tmp_path: Path) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            asked.set()
            await go_on.wait()
            writer.write(OK)

    clock = ManualClock(utc=datetime(2025, 11, 30, 23, 59, 59, tzinfo=UTC).timestamp())
    async with gateway_before(tmp_path, script, quota=1, clock=clock) as (gateway, _, session):
        headers = {"Authorization": f"Bearer {sign_token(gateway.settings.auth, clock, 'ann')}"}
        calling = asyncio.create_task(ask(session, "/api/email/x", headers))
        await until(asked)
        refused = (await ask(session, "/api/email/x", headers)).problem(402, "quota_exhausted")
        assert refused["resets_at"] == "2025-12-01T00:00:00Z"
        clock.advance(1)
        december = (await ask(session, "/gateway/v1/usage", headers)).json["units"][0]
        assert (december["period"], december["held"], december["remaining"]) == ("2025-12", 0, 1)
        go_on.set()
        assert (await calling).status == 200
        assert (await ask(session, "/api/email/x", headers)).status == 200
        (await ask(session, "/api/email/x", headers)).problem(402, "quota_exhausted")
        await gateway.stop()
        spent = {balance["period"]: (balance["held"], balance["spent"]) for balance in gateway.balances()}
        assert spent == {"2025-11": (0, 1), "2025-12": (0, 1)}


async def test_a_public_routes_record_names_nobody_who_did_not_prove_it(tmp_path: Path) -> None:
    async with gateway_before(tmp_path, answering(OK), quota=1, more="public = true") as (gateway, agent, session):
        for headers in ({}, {"Authorization": "Bearer a.b.c"}, gateway.bearer("ann")):
            assert (await ask(session, "/api/email/x", headers)).status == 200
        users = [(record["user_id"], record["plan"]) for record in await gateway.records_when(3)]
        assert users == [("", ""), ("", ""), ("ann", "free")]
        first = bytes(agent.received[0]).split(b"\r\n\r\n")[0]
        assert b"x-user-id" not in first.lower()


async def test_while_the_ledger_is_away_callers_get_503_and_ready_says_so(tmp_path: Path) -> None:
    async with gateway_before(tmp_path, answering(OK)) as (gateway, _, session):
        away = BookLedger()
        away.away = True
        before = swap_stores(gateway, ledger=away)
        answered = await call(gateway, session)
        answered.problem(503, "store_unavailable")
        assert int(answered.headers["Retry-After"]) >= 1
        assert (await ask(session, "/ready")).status == 503
        assert (await ask(session, "/health")).status == 200
        swap_stores(gateway, ledger=before.ledger)
        assert (await call(gateway, session)).status == 200
        assert (await ask(session, "/ready")).status == 200


async def test_a_slow_ledger_does_not_keep_the_answer_and_loses_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange_module, "SETTLE_WAIT", 0.05)
    async with gateway_before(tmp_path, answering(OK)) as (gateway, _, session):
        slow = SlowLedger(current(gateway).stores.ledger)
        slow.holding.set()
        before = swap_stores(gateway, ledger=slow)
        async with asyncio.timeout(PATIENCE):
            assert (await call(gateway, session)).status == 200
        swap_stores(gateway, ledger=before.ledger)
        slow.settling.set()
        assert len(await gateway.records_when(1)) == 1


async def test_who_leaves_while_the_hold_is_pending_holds_nothing_afterwards(tmp_path: Path) -> None:
    async with gateway_before(tmp_path, answering(OK), quota=1) as (gateway, agent, session):
        slow = SlowLedger(current(gateway).stores.ledger)
        before = swap_stores(gateway, ledger=slow)
        calling = asyncio.create_task(call(gateway, session))
        await until(slow.asked)
        calling.cancel()
        [line] = await gateway.log_lines(1)
        assert (line["status"], line["code"], line["unit"]) == (499, "client_closed", None)
        swap_stores(gateway, ledger=before.ledger)
        assert (await call(gateway, session)).status == 200
        assert len(agent.received) == 1


async def test_callers_who_leave_at_any_moment_leave_nothing_held(tmp_path: Path) -> None:
    async with gateway_before(tmp_path, answering(OK), quota=1000) as (gateway, _, session):

        async def leave(after: int) -> None:
            _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            token = gateway.token().encode()
            writer.write(b"GET /api/email/x HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\n\r\n" % token)
            for _ in range(after):
                await asyncio.sleep(0)
            writer.transport.abort()

        await asyncio.gather(*(leave(number // 2) for number in range(100)))
        await gateway.log_lines(1)
        assert (await call(gateway, session)).status == 200
