"""The five agents run together, on the ports of the contract or on others, and leave nothing behind."""

import socket

import aiohttp
import pytest
from yarl import URL

from gatewayd.demo.agents import AGENTS, PortUnavailable, running_agents

FREE_PORTS = {agent.name: 0 for agent in AGENTS}


def test_the_agents_are_those_of_the_contract() -> None:
    assert [(agent.name, agent.prefix, agent.upstream()) for agent in AGENTS] == [
        ("email", "/api/email", "http://127.0.0.1:8081/api/email"),
        ("rag", "/api/rag", "http://127.0.0.1:8082/api"),
        ("scraper", "/api/scraper", "http://127.0.0.1:8083/api/scraper"),
        ("support", "/api/support", "http://127.0.0.1:8084/api"),
        ("aiops", "/api/aiops", "http://127.0.0.1:8085/api/aiops"),
    ]


async def test_each_agent_is_well_under_its_upstream_url() -> None:
    async with running_agents(FREE_PORTS) as upstreams, aiohttp.ClientSession() as session:
        for name, url in upstreams.items():
            async with session.get(f"{url}/health") as response:
                assert await response.json() == {"status": "ok", "agent": name}
    assert list(upstreams) == [agent.name for agent in AGENTS]


async def test_after_the_end_nobody_listens() -> None:
    async with running_agents(FREE_PORTS) as upstreams:
        pass
    async with aiohttp.ClientSession() as session:
        for url in upstreams.values():
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.get(f"{url}/health")


async def test_a_port_that_is_taken_is_named_and_no_agent_stays() -> None:
    async with running_agents(FREE_PORTS) as first:
        taken = URL(first["aiops"]).port
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            email = free.getsockname()[1]
        ports = {**FREE_PORTS, "email": email, "aiops": taken}
        with pytest.raises(PortUnavailable, match=rf"the aiops agent cannot listen on 127\.0\.0\.1:{taken}: stop"):
            async with running_agents({name: int(port or 0) for name, port in ports.items()}):
                pytest.fail("it started")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", email), timeout=5)


async def test_a_port_that_is_none_is_refused() -> None:
    with pytest.raises(PortUnavailable, match="70000"):
        async with running_agents({**FREE_PORTS, "rag": 70_000}):
            pytest.fail("it started")
