"""A way to a server that can be cut: connections pass through as they are, until it refuses and cuts them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

from gatewayd.prove.agent import HOST

_PIECE: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server listens: a host and port, or the path of a Unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Raises OSError."""
        if self.path:
            return await asyncio.open_unix_connection(self.path)
        return await asyncio.open_connection(self.host, self.port)


class Relay:
    """Mutable: it lets through or does not."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._cut = False
        self._ends: set[asyncio.StreamWriter] = set()
        self._served: set[asyncio.Task[None]] = set()
        self.port = 0

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        """Nobody gets through, and whoever was is cut off, for as long as the `with` lasts."""
        self._cut = True
        self._hang_up()
        try:
            yield
        finally:
            self._cut = False

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from now to its end."""
        serving = asyncio.ensure_future(self._serve(reader, writer))
        self._served.add(serving)
        serving.add_done_callback(self._served.discard)

    async def close(self) -> None:
        """Cut off whoever is connected, and be done with them."""
        self._hang_up()
        if self._served:
            await asyncio.wait(self._served)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with self._ended(writer):
            if not self._cut:
                with suppress(OSError):
                    await self._pass_on(reader, writer)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await self._place.connect()
        async with self._ended(far_writer), asyncio.TaskGroup() as both:
            both.create_task(_pump(reader, far_writer))
            both.create_task(_pump(far_reader, writer))

    @asynccontextmanager
    async def _ended(self, writer: asyncio.StreamWriter) -> AsyncIterator[None]:
        """It can be cut off, and is in the end."""
        self._ends.add(writer)
        try:
            yield
        finally:
            self._ends.discard(writer)
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    def _hang_up(self) -> None:
        for writer in self._ends:
            writer.transport.abort()


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await source.read(_PIECE):
            target.write(piece)
            await target.drain()
    target.transport.abort()


@asynccontextmanager
async def relay_to(place: Place) -> AsyncIterator[Relay]:
    """On a free port of the loopback interface, for as long as the `with` lasts."""
    relay = Relay(place)
    server = await asyncio.start_server(relay.serve, HOST, 0)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()
        await relay.close()
