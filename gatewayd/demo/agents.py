"""The five agents by name and port, and what starts and stops them together."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from gatewayd.demo import aiops, email, rag, scraper, support

HOST: Final = "127.0.0.1"
_SHUTDOWN_TIMEOUT: Final = 2.0


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent as the gateway sees it: `prefix` is its route's, `base` is where the agent itself mounts."""

    name: str
    port: int
    prefix: str
    base: str
    create_app: Callable[[], web.Application]

    def upstream(self, port: int | None = None) -> str:
        """The URL to configure as the route's upstream; `port` when it is not the usual one."""
        return f"http://{HOST}:{self.port if port is None else port}{self.base}"


AGENTS: Final = (
    Agent("email", 8081, "/api/email", email.BASE, email.create_app),
    Agent("rag", 8082, "/api/rag", rag.BASE, rag.create_app),
    Agent("scraper", 8083, "/api/scraper", scraper.BASE, scraper.create_app),
    Agent("support", 8084, "/api/support", support.BASE, support.create_app),
    Agent("aiops", 8085, "/api/aiops", aiops.BASE, aiops.create_app),
)


class PortUnavailable(OSError):
    """An agent cannot listen; the message is one line that says which, where and how to mend it."""


@asynccontextmanager
async def running_agents(ports: Mapping[str, int] | None = None) -> AsyncIterator[dict[str, str]]:
    """Runs all five on 127.0.0.1 and gives each one's upstream URL by name; stops them at the end.

    `ports` replaces ports by an agent's name; 0 takes a free one. Raises `PortUnavailable` when a port is taken,
    with none of them left running. At the end, requests in flight have two seconds to finish.
    """
    chosen = ports or {}
    async with AsyncExitStack() as stack:
        yield {agent.name: await _start(agent, chosen.get(agent.name, agent.port), stack) for agent in AGENTS}


async def _start(agent: Agent, port: int, stack: AsyncExitStack) -> str:
    runner = web.AppRunner(
        agent.create_app(), access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_TIMEOUT
    )
    stack.push_async_callback(runner.cleanup)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port).start()
    except (OSError, OverflowError) as error:
        raise PortUnavailable(
            f"the {agent.name} agent cannot listen on {HOST}:{port}: stop what uses the port, or choose another"
        ) from error
    return agent.upstream(runner.addresses[0][1])
