"""The whole table of hostile tokens over the wire: refused each, and no word of them anywhere."""

import asyncio
import time
from pathlib import Path

import aiohttp

from tests.agents import answering, raw_agent, talk
from tests.gateways import RunningGateway, running_gateway
from tests.identity.forging import NOW, SECRET, forge
from tests.identity.hostile import GOOD, HOSTILE

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
GET = b"GET /api/email/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: Bearer %b\r\n\r\n"


class ThatDay:
    """Stands at the moment for which the table's tokens were made, however long the machine takes over them."""

    monotonic = staticmethod(time.monotonic)

    def utc(self) -> float:
        return NOW


async def answer(gateway: RunningGateway, token: str) -> bytes:
    return await talk(gateway.port, GET % token.encode("utf-8", "surrogatepass"))


async def test_every_hostile_token_is_refused_over_the_wire_and_is_quoted_nowhere(tmp_path: Path) -> None:
    tokens = {str(each.id): each.values[0]() for each in HOSTILE}  # type: ignore[operator]
    tokens = {name: token for name, token in tokens.items() if token.strip(" ") != GOOD}  # spaces are the field's
    async with (
        raw_agent(answering(OK)) as agent,
        running_gateway(tmp_path, agent.url, clock=ThatDay(), environ={"SECRET": SECRET}) as gateway,
        aiohttp.ClientSession() as session,
    ):
        told = await asyncio.gather(*(answer(gateway, token) for token in tokens.values()))
        answers = dict(zip(tokens, told, strict=True))
        statuses = {name: int(each.split(b" ", 2)[1]) for name, each in answers.items()}
        strange = {name for name, token in tokens.items() if not (token.isascii() and token.isprintable())}
        assert {
            name for name, status in statuses.items() if status not in ({400, 401} if name in strange else {401})
        } == set()
        assert len(statuses) >= 160
        assert (await answer(gateway, GOOD)).startswith(b"HTTP/1.1 200 ")
        assert (await answer(gateway, forge(sub="bob"))).startswith(b"HTTP/1.1 200 ")
        assert len(agent.received) == 1
        async with session.get(f"{gateway.admin_url}/metrics") as response:
            said = await response.text()
        lines = await gateway.log_lines(len(statuses) + 2)
    said += repr(lines) + repr([*answers.values()])
    parts = {part for token in tokens.values() for part in token.strip().split(".") if len(part) > 20}
    assert [part for part in parts if part in said] == []
