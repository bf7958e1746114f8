"""The operators' listener, beside the callers' one. Callers come first: without it, they are served all the same."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, ExitStack
from typing import Any

from aiohttp import web

from gatewayd.admin.views import AdminViews, make_admin_app
from gatewayd.config.settings import AdminSettings
from gatewayd.errors import StartError
from gatewayd.metrics import Metrics
from gatewayd.process.listen import listen_all, name_of

logger = logging.getLogger(__name__)

Status = Callable[[], Awaitable[Mapping[str, Any]]]

_PATIENCE = 1.0  # seconds that a page being read may take at the end


async def serve_operators(
    settings: AdminSettings, status: Status, metrics: Metrics, environ: Mapping[str, str], stack: AsyncExitStack
) -> str | None:
    """Listen until `stack` ends it; where, as people write it. None, and a line in the log, if that cannot be."""
    try:
        sockets = listen_all([settings.listen], environ, stack.enter_context(ExitStack()), key="admin.listen")
    except StartError as error:
        logger.warning("no page and no metrics: %s", error)
        return None
    app = make_admin_app(AdminViews(status, metrics), settings.token)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_PATIENCE)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    for sock in sockets:
        await web.SockSite(runner, sock).start()
    return name_of(runner.addresses[0], "http")
