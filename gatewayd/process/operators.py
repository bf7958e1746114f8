"""The operators' listener, beside the callers' one. Callers come first: without it, they are served all the same."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from typing import Any, Final

from aiohttp import web

from gatewayd.admin.views import AdminViews, make_admin_app, malformed
from gatewayd.config.settings import Settings
from gatewayd.edge.server import EdgeRunner
from gatewayd.errors import StartError
from gatewayd.metrics import Metrics
from gatewayd.process.listen import listen_all, name_of

logger = logging.getLogger(__name__)

Status = Callable[[], Awaitable[Mapping[str, Any]]]

_MOST_CONNECTIONS: Final = 100


async def serve_operators(
    settings: Settings, status: Status, metrics: Metrics, environ: Mapping[str, str], stack: AsyncExitStack
) -> str | None:
    """Listen until `stack` ends it; where, as people write it. None, and a line in the log, if that cannot be."""
    admin, server = settings.admin, settings.server
    try:
        sockets = listen_all([admin.listen], environ, stack.enter_context(ExitStack()), key="admin.listen")
    except StartError as error:
        logger.warning("no page and no metrics: %s", error)
        return None
    app = make_admin_app(AdminViews(status, metrics), admin.token)
    runner = EdgeRunner(app, replace(server, max_connections=_MOST_CONNECTIONS), malformed)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    for sock in sockets:
        await web.SockSite(runner, sock).start()
    return name_of(runner.addresses[0], "http")
