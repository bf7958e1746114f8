"""Style and script: served from memory, kept for ever by who asked for just these."""

from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from gatewayd.admin.assets import ASSETS, address
from tests.gateways import running_gateway
from tests.problems import ask


async def test_an_asset_is_kept_for_ever_under_the_address_of_its_content(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, "http://127.0.0.1:9") as gateway, aiohttp.ClientSession() as session:
        page = (await ask(session, gateway.admin_url + "/")).body.decode()
        for name, asset in ASSETS.items():
            assert address(name) in page
            found = await ask(session, gateway.admin_url + address(name))
            assert (found.status, found.body) == (200, asset.body)
            assert "immutable" in found.headers["Cache-Control"]
            assert found.headers["Content-Type"].startswith(asset.content_type)
            other = await ask(session, gateway.admin_url + f"/static/{name}?v=older")
            assert (other.body, other.headers["Cache-Control"]) == (asset.body, "no-store")


@pytest.mark.parametrize("name", ["nothing.css", "..%2fviews.py", "%2e%2e/views.py", "page.css%00"])
async def test_nothing_else_is_served(tmp_path: Path, name: str) -> None:
    async with running_gateway(tmp_path, "http://127.0.0.1:9") as gateway, aiohttp.ClientSession() as session:
        url = URL(f"{gateway.admin_url}/static/{name}", encoded=True)
        async with session.get(url) as response:
            assert response.status == 404


def test_an_address_changes_with_the_content() -> None:
    assert len({address(name) for name in ASSETS}) == len(ASSETS) == 3
    with pytest.raises(KeyError):
        address("nothing.css")
