"""The demo agents behind a real gateway: what an agent developer has."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gatewayd.demo.agents import AGENTS, running_agents
from tests.gateways import RunningGateway, running_gateway


@asynccontextmanager
async def gate(tmp_path: Path, **options: Any) -> AsyncIterator[tuple[RunningGateway, dict[str, str]]]:
    """The gateway, and the agents' own URLs by name."""
    async with running_agents({agent.name: 0 for agent in AGENTS}) as upstreams:
        routes = "".join(
            f'[routes.{each.name}]\nprefix = "{each.prefix}"\nupstream = "{upstreams[each.name]}"\n'
            + ('upgrades = ["websocket"]\n' if each.name == "support" else "")
            for each in AGENTS
        )
        async with running_gateway(tmp_path, routes=routes, **options) as gateway:
            yield gateway, upstreams
