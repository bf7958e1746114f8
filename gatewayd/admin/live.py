"""The page as a stream of server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from gatewayd.admin.headers import dress

logger = logging.getLogger(__name__)

EVERY: Final = 1.0
MOST: Final = 20
"""Viewers at once; who comes later is told to ask again."""
_PATIENCE: Final = 10.0  # seconds that a viewer gets to take one event
_RETRY: Final = b"retry: 3000\n\n"

Render = Callable[[], Awaitable[str]]


def event(name: str, data: str) -> bytes:
    """One event; a line of data each line."""
    lines = "".join(f"data: {line}\n" for line in data.splitlines())
    return f"event: {name}\n{lines}\n".encode()


class Live:
    """Writes the page once a second for all who look, while somebody does. Mutable: viewers come and go."""

    def __init__(self, render: Render) -> None:
        self._render = render
        self._viewers = 0
        self._event = b""
        self._fresh = asyncio.Event()
        self._closing = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """The stream, until the viewer leaves or takes nothing any more, or the daemon ends."""
        if self._viewers >= MOST:
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "10"}, text=f"{MOST} viewers look already")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        dress(response)
        self._viewers += 1
        try:
            await response.prepare(request)
            await response.write(_RETRY)
            if self._writer is None:
                self._writer = asyncio.create_task(self._write(), name="the live page")
            await self._follow(response)
        except (TimeoutError, ConnectionError):
            pass
        finally:
            self._viewers -= 1
        return response

    async def close(self) -> None:
        """End all streams."""
        self._closing.set()
        self._fresh.set()
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.wait({self._writer})

    async def _follow(self, response: web.StreamResponse) -> None:
        while not self._closing.is_set():
            await self._fresh.wait()
            if not self._closing.is_set():
                async with asyncio.timeout(_PATIENCE):
                    await response.write(self._event)

    async def _write(self) -> None:
        """Whoever waits gets the newest; who is slow misses some."""
        while self._viewers:
            try:
                self._event = event("now", await self._render())
            except Exception:
                logger.exception("the page could not be written")
            fresh, self._fresh = self._fresh, asyncio.Event()
            fresh.set()
            await asyncio.sleep(EVERY)
        self._writer = None
