"""The operators' listener, beside the callers' one. Callers come first: without it, they are served all the same."""

import asyncio
import logging
import socket
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from aiohttp import web

from gatewayd.admin.access import Access
from gatewayd.admin.observatory import Observatory, Sources
from gatewayd.admin.usage import UsageDesk
from gatewayd.admin.views import make_admin_app, malformed
from gatewayd.clock import Clock
from gatewayd.config.settings import Settings
from gatewayd.edge.server import EdgeRunner
from gatewayd.errors import StartError
from gatewayd.metrics import Tally
from gatewayd.process.child import Link
from gatewayd.process.control import inquire
from gatewayd.process.listen import listen_all, names_of
from gatewayd.stores.open import open_usage

logger = logging.getLogger(__name__)

_MOST_CONNECTIONS: Final = 100
PATIENCE: Final = 0.5
"""Seconds that the terminal waits for the ledger to say who is near a limit."""

NOBODY_LOOKS: Final = "nobody can say: the operators' listener was not opened, and the daemon's log has the reason"


def listen_for_operators(
    settings: Settings, environ: Mapping[str, str], stack: ExitStack
) -> tuple[list[socket.socket], str | None]:
    """Sockets for operators, and where the first is; none, and a line in the log, if that cannot be."""
    try:
        sockets = listen_all([settings.admin.listen], environ, stack, key="admin.listen")
    except StartError as error:
        logger.warning("no page and no metrics: %s", error)
        return [], None
    return sockets, names_of(sockets, None)[0]


async def serve_operators(
    settings: Settings, clock: Clock, sockets: Sequence[socket.socket], sources: Sources, stack: AsyncExitStack
) -> Observatory:
    """Serve them until `stack` ends it, and tell what they see."""
    usage = UsageDesk(partial(open_usage, settings.ledger.url.reveal()), clock)
    stack.push_async_callback(usage.close)
    observatory = Observatory(sources, usage, clock)
    watching = asyncio.create_task(observatory.watch(), name="the operators' look")
    stack.push_async_callback(asyncio.wait, {watching})
    stack.callback(watching.cancel)
    app = make_admin_app(observatory, usage, Access(settings.admin, settings.audit_log.file, clock))
    runner = EdgeRunner(app, replace(settings.server, max_connections=_MOST_CONNECTIONS), malformed)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    for sock in sockets:
        await web.SockSite(runner, sock).start()
    return observatory


async def show_operators(
    link: Link, settings: Settings, clock: Clock, sockets: Sequence[socket.socket], control: Path
) -> None:
    """The operators' process: all that it shows, it asks of the supervisor."""

    async def counted() -> Tally:
        return Tally.of((await inquire(control, "metrics"))["samples"])

    sources = Sources(partial(inquire, control, "status"), counted, partial(inquire, control, "sightings"))
    async with AsyncExitStack() as stack:
        observatory = await serve_operators(settings, clock, sockets, sources, stack)
        link.answers["overview"] = partial(observatory.overview, PATIENCE)
        link.ready()
        await link.ending.wait()
