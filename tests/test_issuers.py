"""A whole gateway before an identity provider that rotates, fails, and comes back."""

import asyncio
import json
import time
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from tests.agents import answering, raw_agent, talk
from tests.daemons import gatewayd, running_daemon, write_config
from tests.gateways import PLANS, running_gateway
from tests.identity.forging import make_key
from tests.identity.provider import IdentityProvider, identity_provider
from tests.problems import ask

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def issuer(provider: IdentityProvider, **more: str) -> str:
    lines = {"issuer": f'"{provider.url}"', "algorithms": '["ES256"]', **more}
    return "[auth.issuers.idp]\n" + "".join(f"{name} = {value}\n" for name, value in lines.items())


def bearer(provider: IdentityProvider, key_id: str | None = None, **claims: object) -> dict[str, str]:
    claims = {"iss": provider.url, "sub": "ann", "exp": time.time() + 300, **claims}
    return {"Authorization": f"Bearer {provider.token(claims, key_id)}"}


async def test_a_providers_users_come_in_beside_our_own(tmp_path: Path) -> None:
    async with identity_provider() as provider, raw_agent(answering(OK)) as agent:
        general = PLANS + issuer(provider, user_prefix='"idp:"')
        async with (
            running_gateway(tmp_path, agent.url, general=general) as gateway,
            aiohttp.ClientSession(gateway.url) as session,
        ):
            for headers in (bearer(provider), gateway.bearer("ann")):
                assert (await ask(session, "/api/email/x", headers)).status == 200
            assert {each["user_id"] for each in await gateway.records_when(2)} == {"ann", "idp:ann"}
            status = await gateway.daemon._worker.status()
            (found,) = status["issuers"]
            assert (found["name"], found["keys"], found["failing"]) == (provider.url, 1, False)
            forged = bearer(provider, sub="root")
            provider.rotate("unpublished")
            provider.published = ["key-1"]
            unpublished = bearer(provider)
            (await ask(session, "/api/email/x", unpublished)).problem(401, "token_invalid", unsaid="ann")
            assert (await ask(session, "/api/email/x", forged)).status == 200


async def test_rotations_refuse_nobody(tmp_path: Path) -> None:
    async with identity_provider() as provider, raw_agent(answering(OK)) as agent:
        general = PLANS + issuer(provider, jwks='{ cooldown = "50ms" }')
        async with (
            running_gateway(tmp_path, agent.url, general=general) as gateway,
            aiohttp.ClientSession(gateway.url) as session,
        ):
            for _ in range(10):
                provider.rotate(keep=2)
                answers = await asyncio.gather(
                    *(ask(session, "/api/email/x", bearer(provider, sub=f"u{n}")) for n in range(5))
                )
                assert {each.status for each in answers} == {200}


async def test_rotations_refuse_nobody_at_any_worker_and_cost_one_fetch_each(tmp_path: Path) -> None:
    async with identity_provider() as provider, raw_agent(answering(OK)) as agent:
        config = write_config(tmp_path, agent.url, general=PLANS + issuer(provider), server="workers = 3")
        async with running_daemon(config) as daemon:

            async def status() -> bytes:
                token = bearer(provider)["Authorization"]
                head = f"GET /api/email/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: {token}\r\n\r\n"
                return (await talk(daemon.port, head.encode())).split(b" ")[1]

            for _ in range(6):
                answers = await asyncio.gather(*(status() for _ in range(12)))
                assert {*answers} == {b"200"}
                provider.rotate(keep=2)
            assert provider.fetches <= 6


async def test_without_keys_the_gateway_says_that_it_cannot_tell(tmp_path: Path) -> None:
    provider = IdentityProvider()
    provider.rotate()
    provider.url = "http://127.0.0.1:9"
    async with (
        raw_agent(answering(OK)) as agent,
        running_gateway(tmp_path, agent.url, general=PLANS + issuer(provider)) as gateway,
        aiohttp.ClientSession(gateway.url) as session,
    ):
        answered = await ask(session, "/api/email/x", bearer(provider))
        answered.problem(503, "issuer_unavailable", unsaid=provider.url)
        assert answered.headers["Retry-After"] == "1"
        assert (await ask(session, "/api/email/x", gateway.bearer("ann"))).status == 200


async def test_known_keys_serve_while_the_provider_is_down_and_the_daemon_starts_again(tmp_path: Path) -> None:
    provider = IdentityProvider()
    provider.rotate()
    async with raw_agent(answering(OK)) as agent:
        async with provider.serving():
            general = PLANS + issuer(provider)
            config = write_config(tmp_path, agent.url, general=general, server="workers = 2")
            headers = bearer(provider)
            async with running_daemon(config) as daemon, daemon.session() as session:
                assert (await ask(session, "/api/email/x", headers)).status == 200
                while not list(tmp_path.glob("jwks/*.keys")):
                    await asyncio.sleep(0.01)
            assert provider.fetches == 1
        async with running_daemon(config) as daemon, daemon.session() as session:
            answers = [await ask(session, "/api/email/x", bearer(provider, sub=f"u{n}")) for n in range(20)]
            assert {each.status for each in answers} == {200}
            token = headers["Authorization"].split()[1]
            explained = gatewayd("explain", "GET", "/api/email/x", "-c", config, "--token", token)
            assert "auth: pass: the token proves ann" in explained.stdout
            assert token not in daemon.log
        log = "".join(path.read_text() for path in tmp_path.glob("*.stderr"))
        assert log.count("cannot be had") <= 2  # once a worker


async def test_no_word_of_a_token_or_a_key_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="gatewayd")
    async with identity_provider() as provider, raw_agent(answering(OK)) as agent, AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(
            running_gateway(tmp_path, agent.url, general=PLANS + issuer(provider))
        )
        session = await stack.enter_async_context(aiohttp.ClientSession(gateway.url))
        provider.body = json.dumps({"keys": [{"kty": "EC", "kid": "a-very-telling-name", "x": "xx"}]}).encode()
        headers = bearer(provider, jti="a-very-telling-id")
        await ask(session, "/api/email/x", headers)
        await ask(session, "/api/email/x?access_token=a-very-telling-query", headers)
        words = "".join(json.dumps(each) for each in await gateway.log_lines(2)) + caplog.text
    assert "telling" not in words
    for part in headers["Authorization"].split()[1].split("."):
        assert part not in words


async def test_nothing_that_a_token_offers_is_ever_fetched(tmp_path: Path) -> None:
    async with identity_provider() as provider, identity_provider() as evil, raw_agent(answering(OK)) as agent:
        evil.rotate("key-1", make_key("P-256"))
        async with (
            running_gateway(tmp_path, agent.url, general=PLANS + issuer(provider)) as gateway,
            aiohttp.ClientSession(gateway.url) as session,
        ):
            claims = {"iss": provider.url, "sub": "ann", "exp": time.time() + 300}
            for name in ("jku", "x5u", "iss", "kid", "url"):
                offered = {"Authorization": f"Bearer {evil.token(claims, **{name: evil.jwks_url})}"}
                (await ask(session, "/api/email/x", offered)).problem(401, "token_invalid", unsaid=evil.url)
            another = {"Authorization": f"Bearer {evil.token({**claims, 'iss': evil.url})}"}
            (await ask(session, "/api/email/x", another)).problem(401, "token_invalid", unsaid=evil.url)
            assert evil.asked == []


SENT = {
    "one": (["Authorization: Bearer {token}"], 200),
    "lower case": (["authorization: bearer {token}"], 200),
    "capitals": (["AUTHORIZATION: BEARER {token}"], 200),
    "several spaces": (["Authorization:   Bearer   {token}  "], 200),
    "a tab around": (["Authorization:\tBearer {token}\t"], 200),
    "a tab between": (["Authorization: Bearer\t{token}"], 401),
    "no space": (["Authorization: Bearer{token}"], 401),
    "no scheme": (["Authorization: {token}"], 401),
    "the scheme only": (["Authorization: Bearer"], 401),
    "the scheme twice": (["Authorization: Bearer Bearer {token}"], 401),
    "another scheme": (["Authorization: Token {token}"], 401),
    "Basic with it": (["Authorization: Basic {token}"], 401),
    "in quotes": (['Authorization: Bearer "{token}"'], 401),
    "as a parameter": (["Authorization: Bearer token={token}"], 401),
    "a comma behind": (["Authorization: Bearer {token},"], 401),
    "two in one field": (["Authorization: Bearer {token}, Bearer {token}"], 401),
    "twice the same": (["Authorization: Bearer {token}"] * 2, 401),
    "a bad one first": (["Authorization: Bearer x.y.z", "Authorization: Bearer {token}"], 401),
    "a bad one behind": (["Authorization: Bearer {token}", "Authorization: Bearer x.y.z"], 401),
    "an empty one behind": (["Authorization: Bearer {token}", "Authorization:"], 401),
    "Basic beside it": (["Authorization: Basic YTpi", "Authorization: Bearer {token}"], 401),
    "in a cookie": (["Cookie: access_token={token}; Authorization=Bearer {token}"], 401),
    "in X-Auth-Token": (["X-Auth-Token: {token}"], 401),
    "in Proxy-Authorization": (["Proxy-Authorization: Bearer {token}"], 401),
    "in another spelling": (["X-Authorization: Bearer {token}"], 401),
    "as a subprotocol": (["Sec-WebSocket-Protocol: bearer, {token}"], 401),
}


async def test_a_token_is_taken_from_one_authorization_field_and_nowhere_else(tmp_path: Path) -> None:
    async with raw_agent(answering(OK)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        token = gateway.token()

        async def status(target: str, lines: list[str]) -> int:
            head = f"GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
            head += "".join(f"{line.format(token=token)}\r\n" for line in lines)
            answer = await talk(gateway.port, f"{head}\r\n".encode())
            assert token.encode() not in answer
            return int(answer.split(b" ")[1])

        found = {name: await status("/api/email/x", lines) for name, (lines, _) in SENT.items()}
        assert found == {name: expected for name, (_, expected) in SENT.items()}
        for query in (f"access_token={token}", f"token={token}", f"Authorization=Bearer+{token}", f"jwt={token}"):
            assert await status(f"/api/email/x?{query}", []) == 401
