"""The scraper agent over HTTP, reading its own demo site."""

from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient, AiohttpServer

from gatewayd.demo.scraper import SITE, create_app

Client = TestClient[Any, Any]


@pytest.fixture
async def client(aiohttp_client: AiohttpClient) -> Client:
    return await aiohttp_client(create_app())


async def test_the_demo_site_is_scraped_as_one_unit(client: Client) -> None:
    site = client.make_url(SITE)
    response = await client.post("/api/scraper/scrape", json={"url": str(site), "selectors": ["LI", "p"]})
    page = await response.json()
    assert (response.status, response.headers["X-Usage-Quantity"]) == (200, "1")
    assert (page["url"], page["status"], page["title"]) == (str(site), 200, "The Paper Lantern Workshop")
    assert page["description"].startswith("Hand-made")
    assert page["headings"][0] == {"level": 1, "text": "The Paper Lantern Workshop"}
    assert page["links"][0] == {"url": str(site / "pricing"), "text": "Prices"}
    assert len(page["selected"]["li"]) == 3
    assert page["word_count"] == len(page["text"].split())


async def test_several_pages_are_as_many_units_and_a_failure_is_none(client: Client) -> None:
    urls = [str(client.make_url(SITE + path)) for path in ("", "old/pricing", "missing")] + ["http://127.0.0.1:1/"]
    response = await client.post("/api/scraper/scrape", json={"urls": urls})
    pages = (await response.json())["pages"]
    assert response.headers["X-Usage-Quantity"] == "2"
    assert pages[1]["url"] == str(client.make_url(f"{SITE}pricing"))
    assert [page.get("error", {}).get("code") for page in pages] == [None, None, "not_a_page", "fetch_failed"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"url": 1}, id="url a number"),
        pytest.param({"url": "http://example.com/"}, id="another machine"),
        pytest.param({"url": "http://127.0.0.1:9901/"}, id="the admin listener"),
        pytest.param({"urls": []}, id="no urls"),
        pytest.param({"urls": "http://127.0.0.1/"}, id="urls a text"),
        pytest.param({"urls": ["http://127.0.0.1:1/"] * 11}, id="eleven urls"),
        pytest.param({"urls": ["http://127.0.0.1:1/", None]}, id="a url that is null"),
        pytest.param({"urls": ["http://127.0.0.1:1/", "http://10.0.0.1/"]}, id="one of them elsewhere"),
        pytest.param({"url": "http://127.0.0.1:1/", "selectors": "h2"}, id="selectors a text"),
        pytest.param({"url": "http://127.0.0.1:1/", "selectors": ["div > a"]}, id="a selector that is no name"),
    ],
)
async def test_bad_requests_are_refused_and_cost_nothing(client: Client, body: object) -> None:
    response = await client.post("/api/scraper/scrape", json=body)
    assert (response.status, response.headers["X-Usage-Quantity"]) == (400, "0")
    assert set((await response.json())["error"]) == {"code", "message"}


async def test_a_page_that_cannot_be_fetched_is_a_502(client: Client) -> None:
    response = await client.post("/api/scraper/scrape", json={"url": "http://127.0.0.1:1/"})
    assert (response.status, response.headers["X-Usage-Quantity"]) == (502, "0")


async def test_links_are_absolute_and_those_that_are_none_are_left_out(
    client: Client, aiohttp_server: AiohttpServer
) -> None:
    markup = "<base href='http://127.0.0.1:7/b/'><a href=x>x</a><a href='http://[::1'>no</a><a href='#y'>y</a>"

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=markup, content_type="text/html")

    app = web.Application()
    app.router.add_get("/", page)
    server = await aiohttp_server(app)
    response = await client.post("/api/scraper/scrape", json={"url": str(server.make_url("/"))})
    assert [link["url"] for link in (await response.json())["links"]] == [
        "http://127.0.0.1:7/b/x",
        "http://127.0.0.1:7/b/#y",
    ]


async def test_plain_text_is_taken_as_it_is(client: Client, aiohttp_server: AiohttpServer) -> None:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text="a <b> c")

    app = web.Application()
    app.router.add_get("/", page)
    server = await aiohttp_server(app)
    response = await client.post("/api/scraper/scrape", json={"url": str(server.make_url("/"))})
    scraped = await response.json()
    assert (scraped["text"], scraped["title"], scraped["word_count"]) == ("a <b> c", "", 3)


@pytest.mark.parametrize(("path", "status"), [("", 200), ("pricing", 200), ("changes", 200), ("missing", 404)])
async def test_the_demo_site_has_its_pages(client: Client, path: str, status: int) -> None:
    assert (await client.get(SITE + path)).status == status
