"""An agent may do for a caller what the caller may, in a run that nobody can invent, and no longer."""

import asyncio
from dataclasses import replace
from pathlib import Path

import aiohttp
import jwt
import pytest

from gatewayd.config.settings import Secret
from gatewayd.errors import StartError
from gatewayd.identity.revocations import Revocations
from gatewayd.identity.service import ServiceTokens
from gatewayd.identity.tokens import TokenVerifier
from gatewayd.model import Identity, Revocation
from tests.agents import answering, raw_agent, read_body
from tests.clocks import ManualClock
from tests.config.shared import told
from tests.gateways import running_gateway
from tests.identity.forging import NOW, auth_settings
from tests.problems import ask

ANN = Identity(
    user="ann",
    plan="gold",
    roles=frozenset({"ops", "dev"}),
    token_id="id-1",
    issued_at=NOW - 100,
    expires_at=NOW + 3600,
    scopes=frozenset({"b", "a"}),
    tenant="acme",
)
SETTINGS = auth_settings(tenant_claim="tenant", issuer="https://gw/", audience="gatewayd")


async def read(identity: Identity, run: str = "request-1", ttl: float = 300.0) -> Identity:
    token = ServiceTokens(SETTINGS, "planner", ttl).sign(identity, run, NOW)
    return await TokenVerifier(SETTINGS, ManualClock(NOW)).verify(token)


async def test_an_agent_gets_what_the_caller_has_for_a_while() -> None:
    assert await read(ANN) == replace(ANN, service="planner", run="request-1", expires_at=NOW + 300)


async def test_it_does_not_outlive_what_it_was_made_from() -> None:
    assert (await read(replace(ANN, expires_at=NOW + 10))).expires_at == NOW + 10


async def test_a_run_goes_on_from_agent_to_agent() -> None:
    first = await read(ANN, "request-1")
    second = await read(first, "request-2")
    assert (second.run, second.user, second.service) == ("request-1", "ann", "planner")


@pytest.mark.parametrize(
    "revocation",
    [Revocation("token", "id-1", NOW), Revocation("user", "ann", NOW - 50), Revocation("all", "", NOW - 50)],
    ids=lambda revocation: revocation.kind,
)
async def test_what_revokes_the_callers_token_revokes_it_too(revocation: Revocation) -> None:
    revocations = Revocations([revocation])
    assert revocations.refuses(ANN)
    assert revocations.refuses(await read(ANN))


async def test_a_caller_whose_token_has_no_id_and_no_date_has_a_service_too() -> None:
    found = await read(replace(ANN, token_id=None, issued_at=None))
    assert (found.issued_at, found.user) == (None, "ann")
    assert found.token_id


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"algorithms": ("RS256",)}, "tokens are signed with a secret"),
        ({"secret": Secret("short", "a test")}, "auth.secret: HS256 needs"),
        ({"require": ("exp", "sub", "email")}, "auth.require asks for email"),
    ],
)
def test_what_cannot_sign_stops_the_start(changes: dict[str, object], message: str) -> None:
    with pytest.raises(StartError, match=r"^routes\.planner\.service_token: ") as caught:
        ServiceTokens(auth_settings(**changes), "planner", 300.0)
    assert message in str(caught.value)


def test_a_configuration_that_cannot_sign_is_told() -> None:
    route = '[routes.a]\nprefix = "/a"\nupstream = "http://h"\nservice_token = "5m"\n'
    keys = '[auth]\nalgorithms = ["ES256"]\njwks_url = "https://idp/keys"\n'
    prefixed = '[auth]\nsecret = { env = "S" }\nuser_prefix = "x:"\n'
    (found,) = told(keys + route)
    assert "routes.a.service_token: needs auth.secret and an HS* algorithm" in found
    (found,) = told(prefixed + route, {"S": "s" * 32})
    assert "routes.a.service_token: cannot be used with auth.user_prefix" in found


ROUTES = """
[routes.planner]
prefix = "/api/planner"
upstream = "{planner}"
service_token = "1m"
[routes.email]
prefix = "/api/email"
upstream = "{email}"
"""
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
FORGED = {"X-Run-ID": "forged", "X-Service-ID": "forged", "X_Service_Token": "forged", "X-User-Tenant": "forged"}


def fields(received: bytearray) -> dict[str, str]:
    lines = bytes(received).split(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


async def test_an_agent_calls_another_in_the_callers_name_and_run(tmp_path: Path) -> None:
    """The planner is called by ann, and calls the email agent through the gateway with the token it was given."""
    gateway_port = asyncio.get_running_loop().create_future()

    async def plan(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        await read_body(head, reader)
        token = fields(bytearray(head))["x-service-token"]
        async with aiohttp.ClientSession(f"http://127.0.0.1:{await gateway_port}") as session:
            answered = await ask(session, "/api/email/x", {"Authorization": f"Bearer {token}"})
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % answered.status)

    async with raw_agent(plan) as planner, raw_agent(answering(OK)) as email:
        routes = ROUTES.format(planner=planner.url, email=email.url)
        async with (
            running_gateway(tmp_path, routes=routes) as gateway,
            aiohttp.ClientSession(gateway.url) as session,
        ):
            gateway_port.set_result(gateway.port)
            answered = await ask(session, "/api/planner/x", gateway.bearer("ann", plan="free") | FORGED)
            assert answered.status == 200
            asked, called = fields(planner.received[0]), fields(email.received[0])
            assert asked["x-run-id"] == called["x-run-id"] == answered.headers["X-Request-ID"]
            assert (called["x-user-id"], called["x-service-id"]) == ("ann", "planner")
            assert "x-service-id" not in asked
            assert "x-service-token" not in called
            claims = jwt.decode(asked["x-service-token"], options={"verify_signature": False})
            assert (claims["type"], claims["act"]) == ("service", {"sub": "planner"})
            assert {each["user_id"] for each in await gateway.records_when(2)} == {"ann"}
            for received in (*planner.received, *email.received):
                assert b"forged" not in received
            log = "\n".join(map(str, await gateway.log_lines(2)))
            assert asked["x-service-token"].split(".")[2] not in log
