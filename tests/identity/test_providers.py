"""Each provider has one set of keys, as long as somebody needs it; commands see what was kept."""

from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from gatewayd.clock import SystemClock
from gatewayd.config.settings import Provider
from gatewayd.errors import IssuerUnavailable, StartError
from gatewayd.identity.providers import KeptKeys, Providers
from gatewayd.identity.shelf import FOLDER, Shelf
from gatewayd.stores.documents import open_documents
from tests.identity.forging import JWKS
from tests.identity.provider import identity_provider


async def test_a_provider_has_its_keys_once_until_it_is_let_go(tmp_path: Path) -> None:
    async with identity_provider() as server, aiohttp.ClientSession(auto_decompress=False) as session:
        providers = Providers(session, tmp_path, open_documents("memory:", shared=False), SystemClock())
        where = Provider(server.jwks_url, None, JWKS)
        keys = providers.keys_of(where)
        assert providers.keys_of(replace(where)) is keys
        assert providers.keys_of(replace(where, jwks=replace(JWKS, refresh=60.0))) is not keys
        assert await keys.find("ES256", "key-1")
        (first, _) = providers.status()
        assert (first["name"], first["keys"], first["failing"]) == (server.jwks_url, 1, False)
        await providers.keep_only([where])
        assert len(providers.status()) == 1
        await providers.close()
        assert providers.status() == []
        assert providers.keys_of(where) is not keys
        await providers.close()


async def test_authorities_that_cannot_be_used_stop_the_start(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as session:
        providers = Providers(session, tmp_path, open_documents("memory:", shared=False), SystemClock())
        with pytest.raises(StartError, match=r"^jwks\.ca: "):
            providers.keys_of(Provider("https://idp/", None, replace(JWKS, ca=tmp_path / "missing")))


async def test_a_command_knows_what_the_daemon_kept_and_asks_nobody(tmp_path: Path) -> None:
    async with identity_provider() as server:
        where = Provider(server.jwks_url, None, JWKS)
        with pytest.raises(IssuerUnavailable, match="has not fetched"):
            await KeptKeys(tmp_path, where).find("ES256", "key-1")
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            providers = Providers(session, tmp_path, open_documents("memory:", shared=False), SystemClock())
            await providers.keys_of(where).find("ES256", "key-1")
            while Shelf(tmp_path, where).read() is None:
                await providers.keys_of(where).find("ES256", "unknown")
            await providers.close()
        asked = server.fetches
        assert await KeptKeys(tmp_path, where).find("ES256", "key-1")
        assert await KeptKeys(tmp_path, where).find("ES256", "another") == ()
        assert server.fetches == asked
        for path in (tmp_path / FOLDER).glob("*.keys"):
            path.write_bytes(b"damaged")
        with pytest.raises(IssuerUnavailable):
            await KeptKeys(tmp_path, where).find("ES256", "key-1")
