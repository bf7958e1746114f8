"""An identity provider's outage is not our callers', and neither is its rotation."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gatewayd.clock import SystemClock
from gatewayd.config.settings import Provider
from gatewayd.errors import IssuerUnavailable
from gatewayd.identity.fetching import fetch
from gatewayd.identity.jwk import MAX_KEYS
from gatewayd.identity.published import PublishedKeys
from gatewayd.identity.shelf import Shelf
from gatewayd.stores.documents import Documents, open_documents
from tests.clocks import ManualClock
from tests.identity.forging import JWKS
from tests.identity.provider import PATH, IdentityProvider, identity_provider

QUICK = replace(JWKS, cooldown=0.05, timeout=2.0)


@asynccontextmanager
async def keys_of(
    provider: IdentityProvider,
    state: Path,
    *,
    shared: Documents | None = None,
    discovered: bool = False,
    clock: Any = None,
    **jwks: Any,
) -> AsyncIterator[PublishedKeys]:
    """As a worker has them."""
    settings = replace(QUICK, **jwks)
    where = Provider(None, provider.url, settings) if discovered else Provider(provider.jwks_url, None, settings)
    documents = shared or open_documents("memory:", shared=False)
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        get = partial(fetch, session, timeout=settings.timeout)
        keys = PublishedKeys(where, get, Shelf(state, where), documents, clock or SystemClock())
        keys.start()
        try:
            yield keys
        finally:
            await keys.close()


async def known(keys: PublishedKeys, *ids: str) -> list[bool]:
    return [bool(await keys.find("ES256", each)) for each in ids]


async def test_a_key_is_fetched_once_and_then_known_without_asking(tmp_path: Path) -> None:
    async with identity_provider() as provider, keys_of(provider, tmp_path) as keys:
        found = await asyncio.gather(*(keys.find("ES256", "key-1") for _ in range(50)))
        assert all(found)
        provider.gate.clear()  # nobody is answered any more
        assert await known(keys, "key-1") == [True]
        assert provider.asked == [PATH]
        assert keys.size == 1


async def test_a_known_key_is_found_without_a_turn_of_the_loop(tmp_path: Path) -> None:
    async with identity_provider() as provider, keys_of(provider, tmp_path) as keys:
        await known(keys, "key-1")
        with pytest.raises(StopIteration) as done:
            keys.find("ES256", "key-1").__await__().send(None)
        assert done.value.value


async def test_a_new_key_is_fetched_when_a_token_first_names_it(tmp_path: Path) -> None:
    async with identity_provider() as provider, keys_of(provider, tmp_path) as keys:
        for _ in range(5):
            new = provider.rotate()
            assert await known(keys, new) == [True]
        assert provider.fetches <= 6


async def test_unknown_names_cost_the_provider_one_look_a_cooldown(tmp_path: Path) -> None:
    async with identity_provider() as provider, keys_of(provider, tmp_path, cooldown=0.3) as keys:
        await known(keys, "key-1")
        began, before = asyncio.get_running_loop().time(), provider.fetches
        found = await asyncio.gather(*(keys.find("ES256", f"random {number}") for number in range(10_000)))
        passed = asyncio.get_running_loop().time() - began
        assert not any(found)
        assert 1 <= provider.fetches - before <= 1 + passed / 0.3


async def test_a_look_that_began_before_the_token_came_does_not_condemn_it(tmp_path: Path) -> None:
    async with identity_provider() as provider, keys_of(provider, tmp_path) as keys:
        await known(keys, "key-1")
        provider.gate.clear()
        provider.came.clear()
        first = asyncio.create_task(known(keys, "nobody's"))
        await provider.came.wait()  # this look's answer is made already
        new = provider.rotate()
        second = asyncio.create_task(known(keys, new))
        await asyncio.sleep(0)
        provider.gate.set()
        assert await first == [False]
        assert await second == [True]


async def test_who_leaves_takes_nobodys_look_along(tmp_path: Path) -> None:
    async with identity_provider() as provider, keys_of(provider, tmp_path) as keys:
        provider.gate.clear()
        leaving, staying = (asyncio.create_task(known(keys, "key-1")) for _ in range(2))
        await provider.came.wait()
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        provider.gate.set()
        assert await staying == [True]
        assert provider.fetches == 1


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param({"status": 500}, id="500"),
        pytest.param({"status": 302, "headers": {"Location": "/elsewhere"}}, id="redirect"),
        pytest.param({"body": b"x" * (10 * 1024 * 1024)}, id="10 MB"),
        pytest.param({"body": b'{"keys":[' + b"{}," * 10_000 + b"{}]}"}, id="10,001 keys"),
        pytest.param({"body": b'{"keys":[{"kty":"EC"}]}'}, id="broken keys only"),
        pytest.param({"body": b"[]"}, id="wrong type of JSON"),
        pytest.param({"body": b"<html>", "headers": {"Content-Type": "text/html"}}, id="wrong type"),
        pytest.param({"body": b'{"keys":[]}'}, id="no keys"),
    ],
)
async def test_nonsense_from_the_provider_is_told_once_and_the_last_good_keys_stay(
    tmp_path: Path, trouble: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with identity_provider() as provider, keys_of(provider, tmp_path) as keys:
        await known(keys, "key-1")
        for name, value in trouble.items():
            setattr(provider, name, value)
        assert await known(keys, "a", "b", "key-1") == [False, False, True]
        assert keys.failing
        (line,) = [each.message for each in caplog.records if "cannot be had" in each.message]
        assert "the 1 known ones stay in force" in line
        for name in trouble:
            setattr(provider, name, {"status": 200, "body": None, "headers": {}}[name])
        with caplog.at_level(logging.INFO):
            assert await known(keys, provider.rotate()) == [True]
        assert "can be had again" in caplog.text
        assert not keys.failing


async def test_a_slow_provider_delays_nobody_whose_key_is_known(tmp_path: Path) -> None:
    async with identity_provider() as provider, keys_of(provider, tmp_path, timeout=0.1) as keys:
        await known(keys, "key-1")
        provider.gate.clear()
        waiting = asyncio.create_task(known(keys, "new"))
        await asyncio.sleep(0)
        assert await known(keys, "key-1") == [True]
        assert not waiting.done()
        assert await waiting == [False]


async def test_known_keys_outlive_a_restart_while_the_provider_is_down(tmp_path: Path) -> None:
    provider = IdentityProvider()
    provider.rotate()
    async with provider.serving(), keys_of(provider, tmp_path) as keys:
        await known(keys, "key-1")
        while not list(tmp_path.glob("jwks/*.keys")):
            await asyncio.sleep(0.001)
    async with keys_of(provider, tmp_path) as keys:
        assert await known(keys, "key-1", "another") == [True, False]
    assert provider.fetches == 1


async def test_without_any_key_it_is_not_said_that_the_token_is_bad(tmp_path: Path) -> None:
    provider = IdentityProvider()
    provider.url = "http://127.0.0.1:9"
    async with keys_of(provider, tmp_path) as keys:
        with pytest.raises(IssuerUnavailable):
            await keys.find("ES256", "key-1")


async def test_a_provider_that_comes_up_late_is_asked_again(tmp_path: Path) -> None:
    provider = IdentityProvider()
    provider.rotate()
    async with provider.serving():
        port = provider.port
    async with keys_of(provider, tmp_path) as keys:
        with pytest.raises(IssuerUnavailable):
            await keys.find("ES256", "key-1")
        async with provider.serving(port):
            assert await known(keys, "key-1") == [True]


async def test_workers_of_one_daemon_ask_once_for_all(tmp_path: Path) -> None:
    async with (
        identity_provider() as provider,
        keys_of(provider, tmp_path, cooldown=0.2) as one,
        keys_of(provider, tmp_path, cooldown=0.2) as two,
        keys_of(provider, tmp_path, cooldown=0.2) as three,
    ):
        workers = (one, two, three)
        found = await asyncio.gather(*(known(each, "key-1") for each in workers))
        assert found == [[True]] * 3
        assert provider.fetches == 1
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(known(each, f"random {n}") for each in workers for n in range(1000)))
        assert provider.fetches <= 2 + (asyncio.get_running_loop().time() - began) / 0.2
        provider.rotate("new")
        assert await asyncio.gather(*(known(each, "new") for each in workers)) == [[True]] * 3


async def test_keys_are_fetched_anew_when_they_are_no_longer_fresh(tmp_path: Path) -> None:
    async with identity_provider() as provider, keys_of(provider, tmp_path, refresh=0.1) as keys:
        await known(keys, "key-1")
        for _ in range(3):
            provider.came.clear()
            await asyncio.wait_for(provider.came.wait(), 5)
        assert keys.size == 1


async def test_keys_that_are_too_old_serve_nobody(tmp_path: Path) -> None:
    clock = ManualClock()
    provider = IdentityProvider()
    provider.rotate()
    async with provider.serving(), keys_of(provider, tmp_path, clock=clock, stale=600.0) as keys:
        await known(keys, "key-1")
        while not list(tmp_path.glob("jwks/*.keys")):
            await asyncio.sleep(0.001)
    clock.advance(599)
    async with keys_of(provider, tmp_path, clock=clock, stale=600.0) as keys:
        assert await known(keys, "key-1") == [True]
        clock.advance(2)
        keys._expire()
        assert keys.size == 0
    clock.advance(3600)
    async with keys_of(provider, tmp_path, clock=clock, stale=600.0) as keys:
        with pytest.raises(IssuerUnavailable):
            await keys.find("ES256", "key-1")


async def test_a_long_cooldown_is_not_waited_for(tmp_path: Path) -> None:
    async with identity_provider() as provider, keys_of(provider, tmp_path, cooldown=60.0) as keys:
        await known(keys, "key-1")
        async with asyncio.timeout(2):
            assert await known(keys, "new") == [False]
        assert provider.fetches == 1


async def test_the_issuer_is_asked_where_its_keys_are(tmp_path: Path) -> None:
    async with identity_provider() as provider, keys_of(provider, tmp_path, discovered=True) as keys:
        assert await known(keys, "key-1") == [True]
        assert provider.asked == ["/.well-known/openid-configuration", PATH]
        assert await known(keys, provider.rotate()) == [True]
        assert provider.asked == ["/.well-known/openid-configuration", PATH, PATH]


async def test_a_daemon_takes_what_another_has_shared(tmp_path: Path) -> None:
    shared = open_documents("memory:", shared=False)
    provider = IdentityProvider()
    provider.rotate()
    async with provider.serving(), keys_of(provider, tmp_path / "a", shared=shared) as keys:
        await known(keys, "key-1")
        while await shared.find(keys._key) is None:
            await asyncio.sleep(0.001)
    async with keys_of(provider, tmp_path / "b", shared=shared) as keys:
        assert await known(keys, "key-1") == [True]
    assert provider.fetches == 1


async def test_a_state_directory_that_takes_no_file_costs_no_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "jwks").touch()
    async with identity_provider() as provider, keys_of(provider, tmp_path) as keys:
        assert await known(keys, "key-1", "new", "key-1") == [True, False, True]
    assert "cannot be kept on disk" in caplog.text


def test_a_real_document_is_far_below_the_bounds() -> None:
    provider = IdentityProvider()
    for _ in range(20):
        provider.rotate()
    assert len(provider.document()) < 20 * 1024
    assert len(provider.keys) < MAX_KEYS
