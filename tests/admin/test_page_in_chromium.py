"""The operators' page in a real browser: its figures are those that the load counted, and everybody can use it."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.admin.chromium import SCHEMES, SHOTS, WIDTHS, chromium, keep, opened, violations
from tests.agents import answering, raw_agent
from tests.daemons import RunningDaemon, running_daemon
from tests.gateways import CONFIG
from tests.patience import PATIENCE
from tests.problems import ask
from tests.process.crews import admin_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BROKEN = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
HOSTILE = '<script>alert("1")</script><img src=x onerror=alert(2)>'
GENERAL = """
[rate_limit]
limits = ["100000/minute"]
unauthenticated = ["100000/minute"]
[plans.free]
default = true
quota = { api_calls = 20 }
"""
ROUTES = """
[routes.email]
prefix = "/api/email"
upstream = "{well}"
[routes.rag]
prefix = "/api/rag"
upstream = "{ill}"
[routes.scraper]
prefix = "/api/scraper"
upstream = "http://127.0.0.1:9"
"""


@dataclass
class Load:
    """Calls, counted by who makes them."""

    daemon: RunningDaemon
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    by_user: Counter[str] = field(default_factory=Counter)

    async def run(self, session: aiohttp.ClientSession, route: str, user: str | None, count: int) -> None:
        headers = self.daemon.bearer(user) if user is not None else {}
        for _ in range(count):
            answer = await ask(session, f"{self.daemon.url}/api/{route}/process?secret=1", headers, method="POST")
            self.answers[route, answer.status] += 1
            if user is not None and answer.status == 200:
                self.by_user[user] += 1

    async def mixed(self) -> None:
        """Some of everything."""
        async with aiohttp.ClientSession() as session:
            await self.run(session, "email", "ann", 18)
            await self.run(session, "email", "bob", 22)  # two too many
            await self.run(session, "email", HOSTILE, 9)
            await self.run(session, "rag", "eve", 6)
            await self.run(session, "rag", HOSTILE, 2)
            await self.run(session, "scraper", "dora", 4)
            await self.run(session, "email", None, 3)

    def of(self, route: str, least: int = 0) -> int:
        return sum(count for (name, status), count in self.answers.items() if name == route and status >= least)

    @property
    def total(self) -> int:
        return self.answers.total()


@dataclass(frozen=True)
class Stage:
    load: Load
    admin: str
    browser: Browser


@asynccontextmanager
async def under_load(directory: Path) -> AsyncIterator[tuple[Load, str]]:
    """A daemon of two workers that has been called, and where its page is."""
    async with raw_agent(answering(OK)) as well, raw_agent(answering(BROKEN)) as ill:
        config = directory / "gatewayd.toml"
        text = CONFIG.format(state=directory, server="workers = 2", general=GENERAL)
        config.write_text(text + ROUTES.format(well=well.url, ill=ill.url))
        async with running_daemon(config) as daemon:
            load = Load(daemon)
            await load.mixed()
            yield load, await asyncio.to_thread(admin_of, daemon)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """One for all: a browser takes a second to start."""
    async with under_load(tmp_path_factory.mktemp("page")) as (load, admin), chromium() as browser:
        yield Stage(load, admin, browser)


async def number(page: Page, selector: str) -> int:
    return int((await page.inner_text(selector)).replace(",", ""))


async def figures(page: Page) -> dict[str, int]:
    """What a person reads off the page."""
    found = {"requests": await number(page, "#ended"), "failed": await number(page, "#failed")}
    for route in ("email", "rag", "scraper"):
        for name in ("requests", "failed"):
            found[f"{route} {name}"] = await number(page, f"#agent-{route} [data-figure={name}]")
    for item in await page.query_selector_all("#refusals [data-code]"):
        code, total = await item.get_attribute("data-code"), await item.query_selector("[data-figure=total]")
        assert total is not None
        found[f"{code}"] = int(await total.inner_text())
    return found


async def shows(page: Page, load: Load) -> None:
    """Wait until the page knows of every call."""
    await expect(page.locator("#ended")).to_have_text(f"{load.total:,}", timeout=PATIENCE * 1000)


def counted(load: Load) -> dict[str, int]:
    """The same, as the callers counted it."""
    routes = ("email", "rag", "scraper")
    by_route = {f"{route} requests": load.of(route) for route in routes}
    return {
        "requests": load.total,
        "failed": sum(load.of(route, 500) for route in routes),
        **by_route,
        **{f"{route} failed": load.of(route, 500) for route in routes},
        "quota_exhausted": load.answers["email", 402],
        "token_missing": load.answers["email", 401],
        "upstream_connect": load.answers["scraper", 502],
    }


async def test_the_figures_are_those_that_the_load_counted_and_stay_so_while_it_goes_on(stage: Stage) -> None:
    load, admin = stage.load, stage.admin
    async with opened(stage.browser, admin) as page:
        assert load.answers["email", 402]
        assert await figures(page) == counted(load)
        await page.wait_for_selector("#live[data-state=live]")
        await load.mixed()
        await shows(page, load)
        assert await figures(page) == counted(load)
        sentence = await page.inner_text("#verdict-title")
        assert "rag" in sentence
        assert "scraper" in sentence
        assert "Trouble" in sentence
        await expect(page.locator("#nearest")).to_contain_text(re.compile("ann|bob"), timeout=PATIENCE * 1000)
        async with asyncio.timeout(PATIENCE):  # a row is in the table a moment after its answer
            while await spent_by_user(page, admin) != {**load.by_user, "eve": 0, "dora": 0}:
                pass


async def spent_by_user(page: Page, admin: str) -> dict[str, int]:
    await page.goto(f"{admin}/usage")
    return {
        await row.inner_text(): int(await (await row.query_selector_all("xpath=../td"))[2].inner_text())
        for row in await page.query_selector_all("#by-user tbody th")
    }


async def test_without_scripts_the_page_says_the_same(stage: Stage) -> None:
    load = stage.load
    async with opened(stage.browser, stage.admin, scripts=False) as page:
        assert await figures(page) == counted(load)
        assert not await page.is_visible("#pause")
        await load.mixed()
        await page.click("text=Refresh")
        await shows(page, load)
        summary = page.locator("#failures summary").first
        await summary.click()
        assert "the token proves" in await page.locator("#failures details[open]").first.inner_text()


async def test_a_user_called_like_a_script_runs_nothing_anywhere(stage: Stage) -> None:
    admin = stage.admin
    async with opened(stage.browser, admin) as page:
        await page.wait_for_selector("#live[data-state=live]")
        assert HOSTILE in str(await page.text_content("#failures"))
        await page.goto(f"{admin}/usage")
        await page.click(f"text={HOSTILE}")
        await page.wait_for_url("**/usage/user?**")
        assert await page.inner_text("h1") == HOSTILE
        assert await page.locator("main img, main script").count() == 0


async def test_the_keyboard_is_enough_and_what_is_open_stays_open(stage: Stage) -> None:
    load, admin = stage.load, stage.admin
    async with opened(stage.browser, admin) as page:
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.textContent") == "Skip to the content"
        await page.keyboard.press("Enter")
        assert await page.evaluate("document.activeElement.id") == "main"
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.nodeName") == "SUMMARY"
        await page.keyboard.press("Enter")
        opened_id = await page.evaluate("document.activeElement.closest('li').id")
        await page.wait_for_selector("#live[data-state=live]")
        await load.mixed()
        await shows(page, load)
        assert await page.evaluate("document.activeElement.closest('li').id") == opened_id
        assert await page.locator(f"#{opened_id} details[open] .decisions").is_visible()


async def test_a_page_that_is_paused_stands_still_until_it_is_told_to_go_on(stage: Stage) -> None:
    load, admin = stage.load, stage.admin
    async with opened(stage.browser, admin) as page:
        await page.wait_for_selector("#live[data-state=live]")
        before = await number(page, "#ended")
        await page.click("text=Pause")
        await load.mixed()
        assert await page.inner_text("#live-word") == "paused"
        assert await number(page, "#ended") == before
        await page.click("text=Go on")
        await shows(page, load)


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_axe_finds_nothing_wrong_and_it_fits_in_any_width(stage: Stage, scheme: str) -> None:
    load, admin, browser = stage.load, stage.admin, stage.browser
    async with aiohttp.ClientSession() as session:
        overview = (await ask(session, f"{admin}/api/overview")).json
    paths = {
        "now": "/",
        "usage": "/usage",
        "user": "/usage/user?user=ann",
        "request": f"/requests/{overview['failures'][0]['request_id']}",
    }
    assert load.total == overview["ended"]["requests"]
    wrong: dict[str, list[str]] = {}
    for width in WIDTHS:
        async with opened(browser, "about:blank", width=width, scheme=scheme) as page:  # type: ignore[arg-type]
            for name, path in paths.items():
                await page.goto(admin + path, wait_until="load")
                if name == "now":
                    await page.locator("#failures summary").first.click()
                wrong[f"{name} {width}"] = await violations(page)
                scrolls = await page.evaluate("document.documentElement.scrollWidth")
                assert scrolls <= width, f"{name} is {scrolls} wide in {width}"
                await keep(page, f"{name}-{width}-{scheme}")
    assert not any(wrong.values()), wrong
    assert {f"{name}-{width}-{scheme}.png" for name in paths for width in WIDTHS} <= {
        each.name for each in SHOTS.iterdir()
    }
