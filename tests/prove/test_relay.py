import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from gatewayd.prove.agent import HOST
from gatewayd.prove.relay import Place, Relay, relay_to
from tests.patience import PATIENCE
from tests.prove.servers import listening


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(1000):
        writer.write(piece)


@pytest.fixture(params=["port", "path"])
async def relay(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Relay]:
    """Before a server that says what it hears."""
    path = str(tmp_path / "echo.sock") if request.param == "path" else ""
    async with listening(_echo, path) as port, relay_to(Place(path=path) if path else Place(HOST, port)) as found:
        yield found


@asynccontextmanager
async def connected(relay: Relay) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection(HOST, relay.port)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()


async def echoes(streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], word: bytes) -> bool:
    streams[1].write(word)
    try:
        return await streams[0].readexactly(len(word)) == word
    except (OSError, EOFError):
        return False


async def test_bytes_pass_both_ways(relay: Relay) -> None:
    for word in (b"one", b"two" * 100_000):
        async with connected(relay) as streams:
            assert await echoes(streams, word)


async def test_who_is_connected_is_cut_off_and_nobody_else_gets_through(relay: Relay) -> None:
    async with connected(relay) as before:
        assert await echoes(before, b"one")
        async with relay.away():
            assert not await echoes(before, b"two")
            async with connected(relay) as meanwhile:
                assert not await echoes(meanwhile, b"three")
        async with connected(relay) as after:
            assert await echoes(after, b"four")


async def test_a_server_that_is_not_there_looks_like_one_that_hangs_up() -> None:
    async with relay_to(Place(path="/nowhere/server.sock")) as relay, connected(relay) as streams:
        assert not await echoes(streams, b"one")
