"""The page as a stream: one writer for all viewers, and none for nobody."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from gatewayd.admin.live import MOST, Live, event
from tests.patience import PATIENCE

Client = TestClient[web.Request, web.Application]


class Scribe:
    """Writes a page that a test can tell from the last."""

    def __init__(self) -> None:
        self.written = 0
        self.fails = False

    async def write(self) -> str:
        self.written += 1
        if self.fails:
            raise ValueError("no page")
        return f"page\n{self.written}"


@pytest.fixture
def scribe(monkeypatch: pytest.MonkeyPatch) -> Scribe:
    monkeypatch.setattr("gatewayd.admin.live.EVERY", 0.01)
    return Scribe()


@pytest.fixture
async def live(scribe: Scribe) -> AsyncIterator[Live]:
    live = Live(scribe.write)
    yield live
    await live.close()


@pytest.fixture
async def client(live: Live, aiohttp_client: AiohttpClient) -> Client:
    app = web.Application(handler_args={"handler_cancellation": True})
    app.router.add_get("/live", live.serve)
    return await aiohttp_client(app)


async def read_event(response: aiohttp.ClientResponse) -> list[str]:
    lines = []
    async with asyncio.timeout(PATIENCE):
        while line := (await response.content.readline()).decode().rstrip("\n"):
            lines.append(line)
    return lines


def test_an_event_has_a_line_of_data_for_each_line() -> None:
    assert event("now", "a\nb\r\nc") == b"event: now\ndata: a\ndata: b\ndata: c\n\n"


async def test_a_viewer_gets_one_page_after_the_other(client: Client) -> None:
    async with client.get("/live") as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert response.headers["Server"] == "gatewayd"
        assert await read_event(response) == ["retry: 3000"]
        first, second = await read_event(response), await read_event(response)
    assert first[:2] == ["event: now", "data: page"]
    assert int(second[2].removeprefix("data: ")) > int(first[2].removeprefix("data: "))


async def test_all_viewers_get_the_same_page_and_nobody_writes_for_nobody(
    client: Client, live: Live, scribe: Scribe
) -> None:
    one, other = await client.get("/live"), await client.get("/live")
    for response in (one, other):
        await read_event(response)
        await read_event(response)
    written = scribe.written
    seen = [await read_event(one), await read_event(other)]
    assert scribe.written <= written + 4
    assert all(each[0] == "event: now" for each in seen)
    one.close()
    other.close()
    async with asyncio.timeout(PATIENCE):
        while live._writer is not None:
            await asyncio.sleep(0.01)
    assert live._viewers == 0


async def test_a_page_that_cannot_be_written_ends_no_stream(
    client: Client, scribe: Scribe, caplog: pytest.LogCaptureFixture
) -> None:
    async with client.get("/live") as response:
        await read_event(response)
        scribe.fails = True
        seen = scribe.written
        async with asyncio.timeout(PATIENCE):
            while scribe.written < seen + 2:
                await asyncio.sleep(0.01)
        scribe.fails = False
        async with asyncio.timeout(PATIENCE):
            while "event: now" not in await read_event(response):
                pass
    assert "the page could not be written" in caplog.text


async def test_one_viewer_too_many_is_told_to_come_again(client: Client) -> None:
    viewers = [await client.get("/live") for _ in range(MOST)]
    refused = await client.get("/live")
    assert (refused.status, refused.headers["Retry-After"]) == (503, "10")
    for viewer in viewers:
        viewer.close()


async def test_streams_end_when_it_is_closed(client: Client, live: Live) -> None:
    async with client.get("/live") as response:
        await read_event(response)
        await live.close()
        async with asyncio.timeout(PATIENCE):
            await response.content.read()
    assert live._viewers == 0
