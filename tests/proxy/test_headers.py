"""Header sections from one side to the other: what is kept, what is dropped, what is said anew."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.framing import HOP_BY_HOP
from gatewayd.model import Identity, Plan
from gatewayd.proxy import headers
from gatewayd.proxy.answer import AnswerHead, read_section
from gatewayd.proxy.headers import answer_message
from tests.agents import answering, raw_agent
from tests.gateways import running_gateway
from tests.proxy.test_forward import named
from tests.proxy.wire import OK, Caller, call

Field = tuple[bytes, bytes]

names = st.from_regex(rb"[A-Za-z][A-Za-z0-9-]{0,12}", fullmatch=True)
values = st.from_regex(rb"(?:[!-~\x80-\xff](?:[ \t!-~\x80-\xff]{0,12}[!-~\x80-\xff])?)?", fullmatch=True)
fields = st.tuples(names, values)


def lines_of(head: bytes) -> list[bytes]:
    assert head.endswith(b"\r\n\r\n")
    return head[:-4].split(b"\r\n")


@given(st.lists(fields, max_size=8), st.lists(fields, max_size=3))
def test_an_answers_fields_are_a_part_of_the_agents_in_their_order(raw: list[Field], named_too: list[Field]) -> None:
    connection = [(b"Connection", b", ".join(name for name, _ in named_too))]
    section = (*raw, *connection, *named_too)
    parsed = AnswerHead(200, b"OK", read_section(section), 0, chunked=False, has_body=True)
    head = answer_message(parsed, b"X-Request-ID: ours\r\n", "", b"Content-Length: 0\r\n", b"")
    status, *lines = lines_of(head)
    hops = HOP_BY_HOP | {name.lower() for name, _ in named_too} | {b"content-length", b"x-request-id"}
    kept = [b"%b: %b" % field for field in raw if field[0].lower() not in hops and field[0].lower() != b"server"]
    assert status == b"HTTP/1.1 200 OK"
    assert [line for line in lines[:-2] if not line.lower().startswith(b"server:")] == kept
    assert lines[-2:] == [b"X-Request-ID: ours", b"Content-Length: 0"]


async def test_requests_of_one_connection_tell_each_which_host_and_route_was_asked(tmp_path: Path) -> None:
    routes = ("a", "b")
    asked = [(route, host) for route in (*routes, *routes) for host in ("shop.test", "shop.test", "127.0.0.1:80")]
    async with raw_agent(answering(OK)) as agent:
        text = "".join(f'[routes.{each}]\nprefix = "/{each}"\nupstream = "{agent.url}"\n' for each in routes)
        async with running_gateway(tmp_path, routes=text) as gateway:
            caller = await Caller.to(gateway.port)
            for route, host in asked:
                await caller.send(
                    f"GET /{route} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {gateway.token()}\r\n\r\n".encode()
                )
                assert (await caller.hear()).status == 200
            caller.leave()
    heads = _requests(agent.received)
    told = [
        (named(head, "x-forwarded-prefix"), named(head, "x-forwarded-host"), named(head, "forwarded")) for head in heads
    ]
    assert told == [([f"/{route}"], [host], [f'for=127.0.0.1;host="{host}";proto=http']) for route, host in asked]


def of(user: str, plan: str | None = None) -> Identity:
    return Identity(user, plan, frozenset(), None, None, 0.0)


def test_what_an_agent_is_told_of_a_user_holds_for_that_identity_and_that_plan_alone() -> None:
    headers._users.clear()
    one, again, free, paid = of("ann"), of("ann"), Plan("free"), Plan("paid")
    for identity, plan in ((one, free), (one, free), (one, paid), (again, paid), (one, None), (of("\xe4"), free)):
        bought = f"X-User-Plan: {plan.name}\r\n" if plan is not None else ""
        assert headers._user(identity, plan) == f"X-User-ID: {identity.user}\r\n{bought}".encode()
    assert set(headers._users) == {"ann", "\xe4"}


def test_memory_of_users_is_bounded() -> None:
    for number in range(headers._KEPT + 2):
        headers._user(of(f"user-{number}"), None)
    headers._user(of("u" * (headers._LONGEST_KEPT + 1)), None)
    assert 0 < len(headers._users) <= headers._KEPT
    assert max(len(name) for name in headers._users) <= headers._LONGEST_KEPT


async def test_what_a_trusted_proxy_says_of_its_caller_is_passed_on(tmp_path: Path) -> None:
    said = [
        "X-Forwarded-For: 192.0.2.7, 198.51.100.1",
        "Forwarded: for=192.0.2.7",
        "X-Forwarded-Proto: HTTPS",
        "X-Forwarded-Host: shop.test",
        "X-Request-ID: from-the-edge",
        "X-Correlation-ID: spoofed",
    ]
    trusting = 'trusted_proxies = ["127.0.0.0/8"]'
    async with raw_agent(answering(OK)) as agent, running_gateway(tmp_path, agent.url, server=trusting) as gateway:
        heard = await call(gateway, fields=said)
        (line,) = await gateway.log_lines(1)
    received = agent.received[0]
    assert named(received, "x-forwarded-for") == ["192.0.2.7, 198.51.100.1, 127.0.0.1"]
    assert named(received, "forwarded") == ['for=192.0.2.7, for=127.0.0.1;host="shop.test";proto=https']
    assert named(received, "x-forwarded-proto") == ["https"]
    assert named(received, "x-forwarded-host") == ["shop.test"]
    assert named(received, "x-correlation-id") == ["from-the-edge"]
    assert named(received, "x-request-id") == [heard["x-request-id"]] != ["from-the-edge"]
    assert line["correlation_id"] == "from-the-edge"


async def test_what_a_trusted_proxy_says_by_forwarded_only_is_said_by_the_other_fields_too(tmp_path: Path) -> None:
    said = ['Forwarded: for="[2001:db8::7]:4711";proto=https;host=shop.test, For=127.0.0.9;proto=http']
    trusting = 'trusted_proxies = ["127.0.0.0/8"]'
    async with raw_agent(answering(OK)) as agent, running_gateway(tmp_path, agent.url, server=trusting) as gateway:
        await call(gateway, fields=said)
        (line,) = await gateway.log_lines(1)
    received = agent.received[0]
    assert line["client"] == "2001:db8::7"
    assert named(received, "x-forwarded-for") == ["2001:db8::7, 127.0.0.9, 127.0.0.1"]
    assert named(received, "x-forwarded-proto") == ["https"]
    assert named(received, "x-forwarded-host") == ["shop.test"]


async def test_what_a_trusted_proxy_says_by_x_forwarded_for_only_is_in_forwarded_too(tmp_path: Path) -> None:
    said = ["X-Forwarded-For: 2001:db8::7, nonsense, 127.0.0.9"]
    trusting = 'trusted_proxies = ["127.0.0.0/8"]'
    async with raw_agent(answering(OK)) as agent, running_gateway(tmp_path, agent.url, server=trusting) as gateway:
        await call(gateway, fields=said)
    (forwarded,) = named(agent.received[0], "forwarded")
    assert forwarded.startswith('for="[2001:db8::7]", for=unknown, for=127.0.0.9, for=127.0.0.1;host=')


async def test_a_forwarded_that_the_caller_made_up_before_the_proxy_is_not_its_origin(tmp_path: Path) -> None:
    said = ["Forwarded: for=127.0.0.3;proto=https;host=evil.test, for=192.0.2.7;proto=http;host=shop.test"]
    trusting = 'trusted_proxies = ["127.0.0.0/8"]'
    async with raw_agent(answering(OK)) as agent, running_gateway(tmp_path, agent.url, server=trusting) as gateway:
        await call(gateway, fields=said)
    assert named(agent.received[0], "x-forwarded-proto") == ["http"]
    assert named(agent.received[0], "x-forwarded-host") == ["shop.test"]


@pytest.mark.parametrize("proto", ["gopher", "https, http", ""])
async def test_a_scheme_that_is_none_is_not_believed(proto: str, tmp_path: Path) -> None:
    trusting = 'trusted_proxies = ["127.0.0.1"]'
    async with raw_agent(answering(OK)) as agent, running_gateway(tmp_path, agent.url, server=trusting) as gateway:
        await call(gateway, fields=[f"X-Forwarded-Proto: {proto}"])
    assert named(agent.received[0], "x-forwarded-proto") == ["http"]


async def test_the_plan_that_is_in_force_is_told(tmp_path: Path) -> None:
    plans = "[plans.gold]\nquota = { api_calls = 0 }\n[plans.free]\ndefault = true\n"
    async with raw_agent(answering(OK)) as agent, running_gateway(tmp_path, agent.url, general=plans) as gateway:
        for plan in ("gold", "free"):
            await call(gateway, token=gateway.token("ann", plan=plan))
    assert [named(received, "x-user-plan") for received in _requests(agent.received)] == [["gold"], ["free"]]


async def test_a_caller_without_a_plan_is_forwarded_without_one(tmp_path: Path) -> None:
    async with raw_agent(answering(OK)) as agent:
        route = f'[routes.email]\nprefix = "/api/email"\nupstream = "{agent.url}"\npublic = true\n'
        async with running_gateway(tmp_path, routes=route, general="") as gateway:
            assert (await call(gateway)).status == 200
    assert named(agent.received[0], "x-user-id") == ["ann"]
    assert not named(agent.received[0], "x-user-plan")


def _requests(received: list[bytearray]) -> list[bytes]:
    return [part + b"\r\n\r\n" for each in received for part in bytes(each).split(b"\r\n\r\n") if part]
