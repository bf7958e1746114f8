"""What goes wrong on the way to a real gateway is an error that says what to do, for both clients alike."""

import asyncio
import time
from pathlib import Path
from typing import Any

import gatewayd_sdk as sdk
import pytest
from gatewayd_sdk._blocking import caller as blocking

from gatewayd.identity.signing import sign_token
from tests.agents import answering, raw_agent
from tests.clocks import ManualClock
from tests.daemons import Stream, running_daemon, write_config
from tests.gateways import running_gateway
from tests.patience import PATIENCE
from tests.sdk.clients import KINDS, each, entered, items, using

pytestmark = pytest.mark.parametrize("kind", KINDS)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


async def test_a_gateway_that_dies_in_the_middle_of_a_stream_is_told(kind: str, tmp_path: Path) -> None:
    stream = Stream()
    async with raw_agent(stream.script) as agent, running_daemon(write_config(tmp_path, agent.url)) as daemon:
        loop = asyncio.get_running_loop()

        async def scenario(client: Any) -> Any:
            async with entered(client.stream("GET", "/api/email/x")) as answer:
                async for piece in items(answer.iter_bytes()):
                    assert piece == b"first"
                    loop.call_soon_threadsafe(daemon.process.kill)

        token = daemon.bearer()["Authorization"].removeprefix("Bearer ")
        with pytest.raises(sdk.APIConnectionError, match="is gatewayd running there") as caught:
            await using(kind, daemon.url, scenario, token=token)
        await daemon.ended()
        assert daemon.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            await daemon.process.stdout.read()  # its workers have noticed, too
        with pytest.raises(sdk.APIConnectionError, match="is gatewayd running there"):
            await using(kind, daemon.url, lambda client: client.agents.list(), token=token, max_retries=0)
        stream.go_on.set()
    assert type(caught.value) is sdk.APIConnectionError
    assert token not in str(caught.value)


async def test_an_expired_token_says_so_and_a_callable_mends_it(kind: str, tmp_path: Path) -> None:
    async with raw_agent(answering(OK)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        expired = sign_token(gateway.settings.auth, ManualClock(), "ann")
        with pytest.raises(sdk.AuthenticationError, match="a callable as token=") as caught:
            await using(kind, gateway.url, lambda client: client.usage.current(), token=expired)
        tokens = iter([expired, gateway.token()])
        mended = await using(kind, gateway.url, lambda client: client.usage.current(), token=lambda: next(tokens))
    assert (caught.value.code, caught.value.status) == ("token_expired", 401)
    assert mended.user == "ann"


async def test_a_spent_quota_says_what_and_until_when_and_is_asked_once(kind: str, tmp_path: Path) -> None:
    plans = "[plans.free]\ndefault = true\nquota = { api_calls = 1 }\n"
    async with raw_agent(answering(OK)) as agent, running_gateway(tmp_path, agent.url, general=plans) as gateway:

        async def scenario(client: Any) -> Any:
            await each(client.request("GET", "/api/email/x"))
            await each(client.request("GET", "/api/email/x"))

        with pytest.raises(sdk.QuotaExceededError) as caught:
            await using(kind, gateway.url, scenario, token=gateway.token())
        lines = await gateway.log_lines(2)
    error = caught.value
    assert (error.unit, error.limit, error.used, error.code) == ("api_calls", 1, 1, "quota_exhausted")
    assert error.resets_at is not None
    assert error.resets_at.day == 1
    assert [line["status"] for line in lines] == [200, 402]


class Slept:
    """The time as it would be if callers had slept; see `gatewayd.clock.Clock`."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def monotonic(self) -> float:
        return time.monotonic() + self.seconds

    def utc(self) -> float:
        return time.time() + self.seconds


async def test_whoever_sleeps_a_retry_after_is_let_in_and_a_pacer_is_not_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Slept()

    async def pause(seconds: float) -> None:
        clock.sleep(seconds)

    monkeypatch.setattr("gatewayd_sdk._asyncio.caller.pause", pause)
    monkeypatch.setattr(blocking, "pause", clock.sleep)
    limits = '[rate_limit]\nlimits = ["6/minute burst 1"]\n[plans.free]\ndefault = true\n'
    async with (
        raw_agent(answering(OK)) as agent,
        running_gateway(tmp_path, agent.url, general=limits, clock=clock) as gateway,
    ):

        async def scenario(client: Any) -> Any:
            return [(await each(client.request("GET", "/api/email/x"))).status for _ in range(2)]

        assert await using(kind, gateway.url, scenario, token=gateway.token("ann")) == [200] * 2
        assert await using(kind, gateway.url, scenario, token=gateway.token("bob"), pacer=sdk.Pacer()) == [200] * 2
        with pytest.raises(sdk.RateLimitError) as caught:
            await using(kind, gateway.url, scenario, token=gateway.token("eve"), max_retries=0)
        lines = await gateway.log_lines(7)
    assert caught.value.retry_after == 10
    assert 429 in [line["status"] for line in lines if line["user"] == "ann"]
    assert 429 not in [line["status"] for line in lines if line["user"] == "bob"]


async def test_a_large_upload_that_is_refused_is_told_while_it_is_sent(kind: str, tmp_path: Path) -> None:
    route = '[routes.rag]\nprefix = "/api/rag"\nupstream = "{}"\nmax_body = "64KiB"\n'
    sent: list[int] = []

    def do(client: Any) -> Any:
        pieces = (b"x" * 65536 for _ in range(640))
        return client.rag.upload_document(pieces, progress=lambda done, _: sent.append(done))

    async with (
        raw_agent(answering(OK)) as agent,
        running_gateway(tmp_path, routes=route.format(agent.url)) as gateway,
    ):
        with pytest.raises(sdk.APIStatusError) as caught:
            await using(kind, gateway.url, do, token=gateway.token())
    assert (caught.value.status, caught.value.code) == (413, "body_too_large")
    assert caught.value.request_id
