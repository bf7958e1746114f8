"""A real browser, Debian's Chromium driven by playwright; and axe-core, which judges what a page is to all people.

Where one of them is missing the test fails and says how to get it.
"""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Literal

from playwright.async_api import Browser, Page, async_playwright

from tests.daemons import ROOT
from tests.patience import PATIENCE

WIDTHS: Final = {360: 780, 1280: 900, 2560: 1440}
"""Telephone, laptop, the screen on the wall; each with its height."""
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
SHOTS: Final = ROOT / "build/screenshots"
AXE: Final = ROOT / "build/npm/node_modules/axe-core/axe.min.js"
_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")


def executable(bundled: str = "") -> str:
    """Where the browser is; `bundled` is where playwright would have put its own."""
    named = os.environ.get("CHROMIUM")
    found = (
        named or next(filter(None, map(shutil.which, _NAMES)), None) or (bundled if Path(bundled).is_file() else None)
    )
    assert found, (
        "no Chromium to try the page in: apt-get install chromium fonts-inter (Debian), "
        "or .venv/bin/playwright install chromium, or name one in the variable CHROMIUM"
    )
    return found


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The browser, for the length of a `with`."""
    async with async_playwright() as playwright:
        path = executable(playwright.chromium.executable_path)
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = await playwright.chromium.launch(executable_path=path, args=[*sandbox, "--disable-dev-shm-usage"])
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def opened(
    browser: Browser, url: str, *, width: int = 1280, scheme: Literal["light", "dark"] = "light", scripts: bool = True
) -> AsyncIterator[Page]:
    """A page in a window of its own. Whatever the browser complains of fails the test: a script not let run, say."""
    context = await browser.new_context(
        viewport={"width": width, "height": WIDTHS.get(width, 900)}, color_scheme=scheme, java_script_enabled=scripts
    )
    page = await context.new_page()
    page.set_default_timeout(PATIENCE * 1000)
    complaints: list[str] = []
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in {"error", "warning"} else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(f"dialog {dialog.message}"))
    try:
        await page.goto(url, wait_until="load")
        yield page
    finally:
        await context.close()
    assert complaints == []


async def violations(page: Page) -> list[str]:
    """What axe-core finds wrong, as rule, element and reason."""
    assert AXE.is_file(), f"{AXE.relative_to(ROOT)} is missing: run make test, with npm (apt-get install npm)"
    await page.evaluate(AXE.read_text())  # by the debugger, so that the page's own policy holds for what it has itself
    found: dict[str, Any] = await page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        f"{rule['id']}: {node['target']}: {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


async def keep(page: Page, name: str) -> None:
    """A picture of all of it, for whoever looks at what CI has built."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=SHOTS / f"{name}.png", full_page=True)
