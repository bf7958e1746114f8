"""Pages are fetched from this machine and from nowhere else."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpServer
from yarl import URL

from gatewayd.demo.fields import Fault
from gatewayd.demo.loopback import LoopbackClient, LoopbackResolver, loopback_url


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/", "http://127.8.9.1:81/a?b", "http://[::1]:8080", "http://LOCALHOST/x"]
)
def test_addresses_of_this_machine_are_accepted(url: str) -> None:
    assert loopback_url(url, {9901}).host is not None


@pytest.mark.parametrize(
    ("url", "code"),
    [
        pytest.param("http://example.com/", "not_loopback", id="a name"),
        pytest.param("http://10.0.0.1/", "not_loopback", id="a private address"),
        pytest.param("http://169.254.169.254/latest", "not_loopback", id="a cloud's metadata"),
        pytest.param("http://0.0.0.0/", "not_loopback", id="any address"),
        pytest.param("http://2130706433/", "not_loopback", id="127.0.0.1 in decimal"),
        pytest.param("http://127.1/", "not_loopback", id="127.0.0.1 cut short"),
        pytest.param("http://[::ffff:127.0.0.1]/", "not_loopback", id="127.0.0.1 mapped"),
        pytest.param("http://localhost.example.com/", "not_loopback", id="a name that begins like it"),
        pytest.param("http://localhost./", "not_loopback", id="a rooted name"),
        pytest.param("http://127.0.0.1@example.com/", "invalid_url", id="a user that looks like it"),
        pytest.param("http://:secret@127.0.0.1/", "invalid_url", id="a password"),
        pytest.param("https://127.0.0.1/", "invalid_url", id="another scheme"),
        pytest.param("file:///etc/passwd", "invalid_url", id="a file"),
        pytest.param("/relative", "invalid_url", id="no host"),
        pytest.param("http://", "invalid_url", id="nothing"),
        pytest.param("http://127.0.0.1:99999/", "invalid_url", id="a port that is not"),
        pytest.param("http://[::1/", "invalid_url", id="a bracket left open"),
        pytest.param("http://127.0.0.1:9901/", "port_refused", id="the admin listener"),
    ],
)
def test_every_other_address_is_refused(url: str, code: str) -> None:
    with pytest.raises(Fault) as raised:
        loopback_url(url, {9901})
    assert (raised.value.status, raised.value.code) == (400, code)


async def test_the_resolver_knows_one_name() -> None:
    resolver = LoopbackResolver()
    both = await resolver.resolve("localhost", 80, socket.AF_UNSPEC)
    assert [each["host"] for each in both] == ["127.0.0.1", "::1"]
    assert [each["host"] for each in await resolver.resolve("localhost", 80)] == ["127.0.0.1"]
    with pytest.raises(OSError, match="not a name"):
        await resolver.resolve("example.com", 80)
    await resolver.close()


@pytest.fixture
async def client() -> AsyncIterator[LoopbackClient]:
    client = LoopbackClient(seconds=30, most=1_000, refused_ports={9901})
    yield client
    await client.close()


PAGES = {
    "/html": web.Response(text="<p>ä", content_type="text/html"),
    "/latin": web.Response(body=b"\xe4", headers={"Content-Type": "text/plain; charset=ISO-8859-1"}),
    "/codec": web.Response(body=b"\xe4", headers={"Content-Type": "text/plain; charset=zlib"}),
    "/missing": web.Response(status=404, text="no"),
    "/image": web.Response(body=b"x", content_type="image/png"),
    "/zipped": web.Response(body=b"x", content_type="text/html", headers={"Content-Encoding": "gzip"}),
    "/large": web.Response(text="x" * 1_001),
    "/loop": web.Response(status=302, headers={"Location": "/loop"}),
    "/once": web.Response(status=307, headers={"Location": "html"}),
    "/nowhere": web.Response(status=302, text="no location"),
    "/out": web.Response(status=302, headers={"Location": "http://example.com/"}),
    "/admin": web.Response(status=302, headers={"Location": "http://127.0.0.1:9901/"}),
    "/bad": web.Response(status=302, headers={"Location": "http://[::1"}),
}


@pytest.fixture
async def site(aiohttp_server: AiohttpServer) -> URL:
    async def page(request: web.Request) -> web.Response:
        found = PAGES[request.path]
        return web.Response(body=found.body, status=found.status, headers=found.headers)

    async def stall(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise web.HTTPGone

    app = web.Application()
    for path in PAGES:
        app.router.add_get(path, page)
    app.router.add_get("/stall", stall)
    server = await aiohttp_server(app, shutdown_timeout=0.1)
    return server.make_url("/")


@pytest.mark.parametrize(
    ("path", "end", "status", "text"),
    [
        pytest.param("html", "html", 200, "<p>ä", id="HTML"),
        pytest.param("latin", "latin", 200, "ä", id="Latin 1"),
        pytest.param("codec", "codec", 200, "\N{REPLACEMENT CHARACTER}", id="a charset that is none"),
        pytest.param("missing", "missing", 404, "no", id="a page that is missing"),
        pytest.param("once", "html", 200, "<p>ä", id="a redirect"),
        pytest.param("nowhere", "nowhere", 302, "no location", id="a redirect to nowhere"),
    ],
)
async def test_pages_are_fetched(
    client: LoopbackClient, site: URL, path: str, end: str, status: int, text: str
) -> None:
    fetched = await client.fetch(site / path)
    assert (fetched.url, fetched.status, fetched.text) == (str(site / end), status, text)


async def test_localhost_is_this_machine(client: LoopbackClient, site: URL) -> None:
    assert (await client.fetch(site.with_host("localhost") / "html")).status == 200


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        pytest.param("image", 502, "not_a_page", id="an image"),
        pytest.param("zipped", 502, "not_a_page", id="a coding that was not asked for"),
        pytest.param("large", 502, "page_too_large", id="too large"),
        pytest.param("loop", 502, "too_many_redirects", id="a loop"),
        pytest.param("bad", 502, "fetch_failed", id="a redirect that is no URL"),
        pytest.param("out", 400, "not_loopback", id="a redirect to elsewhere"),
        pytest.param("admin", 400, "port_refused", id="a redirect to a refused port"),
    ],
)
async def test_what_cannot_be_fetched_is_told(
    client: LoopbackClient, site: URL, path: str, status: int, code: str
) -> None:
    with pytest.raises(Fault) as raised:
        await client.fetch(site / path)
    assert (raised.value.status, raised.value.code) == (status, code)


async def test_nobody_listening_is_told(client: LoopbackClient) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(Fault, match="cannot be fetched") as raised:
            await client.fetch(URL(f"http://127.0.0.1:{unused.getsockname()[1]}/"))
    assert raised.value.status == 502


async def test_a_page_that_does_not_come_is_given_up(site: URL) -> None:
    client = LoopbackClient(seconds=0.05, most=1_000, refused_ports=())
    try:
        with pytest.raises(Fault, match="in time") as raised:
            await client.fetch(site / "stall")
    finally:
        await client.close()
    assert raised.value.status == 504
