"""Every method of both clients, through a real gateway to the demo agents."""

import asyncio
import inspect
from pathlib import Path
from typing import Any

import gatewayd_sdk as sdk
import pytest

from gatewayd.demo.agents import AGENTS, running_agents
from tests.gateways import running_gateway
from tests.sdk.clients import KINDS, using


async def each(value: Any) -> Any:
    """What a call gives, whichever client made it."""
    if inspect.isasyncgen(value):
        return [item async for item in value]
    if inspect.isgenerator(value):
        return list(value)
    return await value if inspect.isawaitable(value) else value


async def everything(client: Any, site: str) -> dict[str, Any]:
    """One call of every method, in an order that makes sense."""
    letter = await each(client.email.process("Please refund my invoice", subject="Invoice", sender="ann@example.org"))
    second = await each(client.email.process("There is an error"))
    ticket = await each(client.support.create_ticket("A subject", priority="high"))
    return {
        "letter": letter,
        "second": second,
        "reply": await each(client.email.respond(letter.id, tone="formal")),
        "history": await each(client.email.history(page_size=1)),
        "chat": await each(client.rag.chat("What is a gateway?")),
        "documents": await each(client.rag.list_documents()),
        "page": await each(client.scraper.scrape(site, selectors=["h2"])),
        "support": await each(client.support.chat("Where is my order?")),
        "ticket": ticket,
        "same": await each(client.support.get_ticket(ticket.id)),
        "diagnosis": await each(client.aiops.analyze({"cpu": [1, 2, 1, 2, 1, 2, 90]})),
        "usage": await each(client.usage.current()),
        "agents": await each(client.agents.list()),
    }


@pytest.mark.parametrize("kind", KINDS)
async def test_every_method_works_through_a_gateway(kind: str, tmp_path: Path) -> None:
    async with running_agents({agent.name: 0 for agent in AGENTS}) as upstreams:
        routes = "".join(
            f'[routes.{each.name}]\nprefix = "{each.prefix}"\nupstream = "{upstreams[each.name]}"\n' for each in AGENTS
        )
        async with running_gateway(tmp_path, routes=routes) as gateway:

            def do(client: Any) -> Any:
                work = everything(client, upstreams["scraper"] + "/demo-site/")
                return work if kind == "asyncio" else asyncio.run(work)

            got = await using(kind, gateway.url, do, token=gateway.token())
            with pytest.raises(sdk.NotFoundError) as caught:
                await using(kind, gateway.url, lambda client: client.support.get_ticket("a/b"), token=gateway.token())
            with pytest.raises(sdk.AuthenticationError) as missing:
                await using(kind, gateway.url, lambda client: client.agents.list())
    assert got["letter"].category == "billing"
    assert got["letter"].sender == "ann@example.org"
    assert got["reply"].tone == "formal"
    assert [item.id for item in got["history"]] == [got["second"].id, got["letter"].id]
    assert got["documents"].documents == ()
    assert got["page"].usage.quantity == 1
    assert got["same"].subject == "A subject"
    assert got["diagnosis"].status == "critical"
    assert {agent.name for agent in got["agents"].agents} == {agent.name for agent in AGENTS}
    assert got["usage"].user == "ann"
    assert got["chat"].rate_limit.remaining > 0
    assert all(result.request_id for name, result in got.items() if name != "history")
    assert caught.value.request_id
    assert missing.value.code == "token_missing"
