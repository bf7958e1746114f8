"""The scraper agent: reads pages of this machine and states how many it read, which is what is charged for."""

import asyncio
import re
from collections.abc import AsyncIterator, Collection
from dataclasses import asdict
from importlib import resources
from typing import Final

from aiohttp import web
from yarl import URL

from gatewayd.demo.api import answer, application, read_fields
from gatewayd.demo.fields import Fault, Fields, invalid
from gatewayd.demo.loopback import Fetched, LoopbackClient, loopback_url
from gatewayd.demo.pages import HtmlPage, read_html

BASE: Final = "/api/scraper"
SITE: Final = f"{BASE}/demo-site/"
ADMIN_PORT: Final = 9901
_MOST_URLS: Final = 10
_MOST_SELECTORS: Final = 10
_MOST_ENTRIES: Final = 200
_MOST_TEXT: Final = 20_000
_TAG: Final = re.compile(r"[a-z][a-z0-9]{0,15}")
_SITE_PAGES: Final = {"": "site_index.html", "pricing": "site_pricing.html", "changes": "site_changes.html"}
_CLIENT: Final = web.AppKey("client", LoopbackClient)


def create_app(
    *, seconds: float = 5.0, max_page: int = 1024 * 1024, refused_ports: Collection[int] = (ADMIN_PORT,)
) -> web.Application:
    """The agent, mounted under `BASE`, with a small site of its own to read at `SITE`.

    A fetch may take `seconds` and bring `max_page` bytes. `refused_ports` are never fetched from: what is open to
    this machine alone, such as the gateway's admin listener, must not be read for a caller from elsewhere.
    """

    async def client(app: web.Application) -> AsyncIterator[None]:
        app[_CLIENT] = LoopbackClient(seconds=seconds, most=max_page, refused_ports=refused_ports)
        yield
        await app[_CLIENT].close()

    agent = _ScraperAgent(refused_ports)
    site = _DemoSite()
    routes = [
        ("POST", "/scrape", agent.scrape),
        ("GET", "/demo-site/{page:[a-z]*}", site.page),
        ("GET", "/demo-site/old/pricing", site.moved),
    ]
    app = application("scraper", BASE, routes)
    app.cleanup_ctx.append(client)
    app.on_response_prepare.append(_state_quantity)
    return app


async def _state_quantity(_: web.Request, response: web.StreamResponse) -> None:
    """Where no page was read, nothing is to be charged: contract, section 7, charges for 4xx answers too."""
    response.headers.setdefault("X-Usage-Quantity", "0")


class _ScraperAgent:
    def __init__(self, refused_ports: Collection[int]) -> None:
        self._refused_ports = refused_ports

    async def scrape(self, request: web.Request) -> web.Response:
        fields = await read_fields(request)
        tags = _selectors(fields)
        client = request.app[_CLIENT]
        if "urls" not in fields:
            page = await _scrape(client, self._url(fields.text("url", most=2_000)), tags)
            return answer(page, headers={"X-Usage-Quantity": "1"})
        urls = [self._url(text) for text in _texts(fields, "urls", _MOST_URLS)]
        pages = await asyncio.gather(*(_attempt(client, url, tags) for url in urls))
        count = sum("error" not in page for page in pages)
        return answer({"pages": pages, "count": count}, headers={"X-Usage-Quantity": str(count)})

    def _url(self, text: str) -> URL:
        return loopback_url(text, self._refused_ports)


def _texts(fields: Fields, name: str, most: int) -> list[str]:
    values = fields.values[name]
    if not isinstance(values, list) or not 1 <= len(values) <= most:
        raise invalid(name, f"must be a list of 1 to {most} texts")
    return [Fields({name: value}).text(name, most=2_000) for value in values]


def _selectors(fields: Fields) -> list[str]:
    """The names of the elements to gather, in lower case."""
    names = [name.lower() for name in _texts(fields, "selectors", _MOST_SELECTORS)] if "selectors" in fields else []
    if not all(map(_TAG.fullmatch, names)):
        raise invalid("selectors", "must be names of elements, such as h2")
    return names


async def _attempt(client: LoopbackClient, url: URL, tags: list[str]) -> dict[str, object]:
    """One page of several: its failure is told in its place."""
    try:
        return await _scrape(client, url, tags)
    except Fault as fault:
        return {"url": str(url), "error": fault.document}


async def _scrape(client: LoopbackClient, url: URL, tags: list[str]) -> dict[str, object]:
    fetched = await client.fetch(url)
    return await asyncio.to_thread(_report, fetched, tags)


def _report(fetched: Fetched, tags: list[str]) -> dict[str, object]:
    page = HtmlPage(text=fetched.text) if fetched.content_type == "text/plain" else read_html(fetched.text, tags)
    return {
        "url": fetched.url,
        "status": fetched.status,
        "title": page.title,
        "description": page.description,
        "headings": [asdict(heading) for heading in page.headings[:_MOST_ENTRIES]],
        "links": _links(page, URL(fetched.url)),
        "selected": {tag: texts[:_MOST_ENTRIES] for tag, texts in page.selected.items()},
        "text": page.text[:_MOST_TEXT],
        "word_count": len(page.text.split()),
    }


def _links(page: HtmlPage, url: URL) -> list[dict[str, str]]:
    base = _join(url, page.base) or url
    joined = ((_join(base, link.href), link.text) for link in page.links)
    return [{"url": str(target), "text": text} for target, text in joined if target][:_MOST_ENTRIES]


def _join(base: URL, href: str) -> URL | None:
    """The absolute address of a link, or None when it is not one."""
    try:
        return base.join(URL(href))
    except ValueError:
        return None


class _DemoSite:
    """Three pages and an address that moved, so that there is always something to scrape."""

    def __init__(self) -> None:
        data = resources.files("gatewayd.demo") / "data"
        self._pages = {name: (data / file).read_text("utf-8") for name, file in _SITE_PAGES.items()}

    async def page(self, request: web.Request) -> web.Response:
        if (markup := self._pages.get(request.match_info["page"])) is None:
            raise web.HTTPNotFound
        return web.Response(text=markup, content_type="text/html")

    async def moved(self, _: web.Request) -> web.Response:
        return web.Response(status=301, headers={"Location": f"{SITE}pricing"})
