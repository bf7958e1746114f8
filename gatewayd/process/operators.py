"""The operators' listener, beside the callers' one. Callers come first: without it, they are served all the same."""

import logging
import socket
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from gatewayd.admin.views import AdminViews, Counted, Status, make_admin_app, malformed
from gatewayd.config.settings import Settings
from gatewayd.edge.server import EdgeRunner
from gatewayd.errors import StartError
from gatewayd.metrics import Tally
from gatewayd.process.child import Link
from gatewayd.process.control import inquire
from gatewayd.process.listen import listen_all, names_of

logger = logging.getLogger(__name__)

_MOST_CONNECTIONS: Final = 100


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
    settings: Settings, sockets: Sequence[socket.socket], status: Status, counted: Counted, stack: AsyncExitStack
) -> None:
    """Serve them until `stack` ends it."""
    app = make_admin_app(AdminViews(status, counted), settings.admin.token)
    runner = EdgeRunner(app, replace(settings.server, max_connections=_MOST_CONNECTIONS), malformed)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    for sock in sockets:
        await web.SockSite(runner, sock).start()


async def show_operators(link: Link, settings: Settings, sockets: Sequence[socket.socket], control: Path) -> None:
    """The operators' process: all that it shows, it asks of the supervisor."""

    async def status() -> Mapping[str, Any]:
        return await inquire(control, "status")

    async def counted() -> Tally:
        return Tally.of((await inquire(control, "metrics"))["samples"])

    async with AsyncExitStack() as stack:
        await serve_operators(settings, sockets, status, counted, stack)
        link.ready()
        await link.ending.wait()
