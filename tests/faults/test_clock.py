"""A wall clock that is set back, over the turn of a month too: calls stay in their month, and the chain holds."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from gatewayd.identity.signing import sign_token
from gatewayd.stores.open import open_reader
from tests.agents import raw_agent
from tests.clocks import ManualClock
from tests.gateways import PLANS, running_gateway
from tests.problems import ask
from tests.stores.ledgers import audit

QUOTA = 2
DECEMBER = datetime(2025, 12, 1, tzinfo=UTC).timestamp()


class WallClock(ManualClock):
    """Its wall time can be set; what has passed goes on."""

    def set_to(self, utc: float) -> None:
        self._utc = utc


class Agent:
    """Answers each request when it is told to."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.go_on = asyncio.Event()

    async def play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            self.asked.set()
            await self.go_on.wait()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


async def test_a_clock_set_back_over_the_turn_of_the_month_moves_no_unit_to_another_month(tmp_path: Path) -> None:
    clock, playing = WallClock(utc=DECEMBER + 1), Agent()
    plans = PLANS.replace("api_calls = 100000", f"api_calls = {QUOTA}")
    async with (
        raw_agent(playing.play) as agent,
        running_gateway(tmp_path, agent.url, general=plans, clock=clock) as gateway,
        aiohttp.ClientSession(gateway.url) as session,
    ):
        token = sign_token(gateway.settings.auth, WallClock(utc=DECEMBER - 100), "ann")
        headers = {"Authorization": f"Bearer {token}"}
        begun_in_december = asyncio.create_task(ask(session, "/api/email/x", headers))
        await playing.asked.wait()
        clock.set_to(DECEMBER - 10)
        playing.go_on.set()
        assert (await begun_in_december).status == 200
        november = [(await ask(session, "/api/email/x", headers)).status for _ in range(QUOTA + 1)]
        told = (await ask(session, "/gateway/v1/usage", headers)).json["units"][0]
        clock.set_to(DECEMBER + 2)
        december = [(await ask(session, "/api/email/x", headers)).status for _ in range(QUOTA)]
        await gateway.stop()
        with open_reader(gateway.settings.ledger.url.reveal()) as reader:
            sums = audit(reader)
            records = list(reader.records())
    assert november == [200] * QUOTA + [402]
    assert (told["period"], told["spent"], told["remaining"]) == ("2025-11", QUOTA, 0)
    assert december == [200] * (QUOTA - 1) + [402]
    assert sums == {("ann", "api_calls", "2025-11"): QUOTA, ("ann", "api_calls", "2025-12"): QUOTA}
    assert [each.period for each in records] == ["2025-12", "2025-11", "2025-11", "2025-12"]
    assert all(each.ended_at >= each.started_at for each in records)
