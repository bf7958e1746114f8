"""A rotation of keys is not our callers' trouble, and names that nobody ever heard of are not the provider's."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from gatewayd.errors import IssuerUnavailable
from gatewayd.identity import published
from gatewayd.identity.published import PublishedKeys
from gatewayd.identity.shelf import Shelf
from tests.identity.provider import PATH, IdentityProvider, identity_provider
from tests.identity.workers import keys_of, known
from tests.patience import PATIENCE


@asynccontextmanager
async def flooded(*workers: PublishedKeys, width: int = 50) -> AsyncIterator[None]:
    """Meanwhile every worker is asked for names that nobody ever heard of, always so many at once."""

    async def ask(keys: PublishedKeys, number: int) -> None:
        for turn in itertools.count():
            assert not await keys.find("ES256", f"random {number} {turn}")

    tasks = [asyncio.create_task(ask(keys, number)) for keys in workers for number in range(width)]
    try:
        yield
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


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
        assert not keys.at_hand("ES256", "key-1")
        await known(keys, "key-1")
        with pytest.raises(StopIteration) as done:
            keys.find("ES256", "key-1").__await__().send(None)
        assert done.value.value == keys.at_hand("ES256", "key-1")


async def test_a_rotation_waits_for_no_cooldown_if_the_last_look_found_what_it_was_for(tmp_path: Path) -> None:
    async with identity_provider() as provider, AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(keys_of(provider, tmp_path, cooldown=3600.0)) for _ in range(3)]
        for turn in range(5):
            new = provider.rotate()
            assert await asyncio.gather(*(known(each, new) for each in workers)) == [[True]] * 3
            assert provider.fetches <= 2 + turn


async def test_unknown_names_cost_the_provider_one_look_a_cooldown(tmp_path: Path) -> None:
    async with identity_provider() as provider, keys_of(provider, tmp_path, cooldown=0.3) as keys:
        await known(keys, "key-1")
        began, before = asyncio.get_running_loop().time(), provider.fetches
        found = await asyncio.gather(*(keys.find("ES256", f"random {number}") for number in range(10_000)))
        passed = asyncio.get_running_loop().time() - began
        assert not any(found)
        assert 1 <= provider.fetches - before <= 1 + passed / 0.3


async def test_a_flood_of_unknown_names_lets_every_rotation_through(tmp_path: Path) -> None:
    async with identity_provider() as provider, AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(keys_of(provider, tmp_path, cooldown=0.1)) for _ in range(3)]
        await known(workers[0], "key-1")
        began, before = asyncio.get_running_loop().time(), provider.fetches
        async with flooded(*workers):
            for _ in range(5):
                new = provider.rotate(keep=2)
                assert await asyncio.gather(*(known(each, new) for each in workers)) == [[True]] * 3
        passed = asyncio.get_running_loop().time() - began
        assert provider.fetches - before <= 1 + 5 + passed / 0.1


async def test_a_worker_that_asks_all_the_time_keeps_no_other_from_what_it_learns(tmp_path: Path) -> None:
    async with (
        identity_provider() as provider,
        keys_of(provider, tmp_path, cooldown=0.2) as busy,
        keys_of(provider, tmp_path, cooldown=0.2) as quiet,
    ):
        await known(quiet, "key-1")
        async with flooded(busy):
            for _ in range(5):
                provider.came.clear()
                await provider.came.wait()
                new, before = provider.rotate(), provider.fetches
                assert await known(quiet, new) == [True]
                assert provider.fetches - before <= 2


async def test_no_more_wait_than_there_is_room_for_and_they_are_told_to_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published, "MOST_WAITING", 3)
    async with identity_provider() as provider, keys_of(provider, tmp_path) as keys:
        await known(keys, "key-1")
        provider.gate.clear()
        provider.came.clear()
        waiting = [asyncio.create_task(known(keys, f"random {number}")) for number in range(3)]
        await provider.came.wait()
        with pytest.raises(IssuerUnavailable):
            await known(keys, "one more")
        assert await known(keys, "key-1") == [True]
        provider.gate.set()
        assert await asyncio.gather(*waiting) == [[False]] * 3
        assert await known(keys, "another") == [False]
        assert not keys._waiting


@pytest.mark.parametrize("name", ["", "k" * 257, "k" * 6_000], ids=len)
async def test_a_name_that_no_key_can_have_is_not_looked_for(tmp_path: Path, name: str) -> None:
    async with identity_provider() as provider, keys_of(provider, tmp_path) as keys:
        await known(keys, "key-1")
        with pytest.raises(StopIteration) as done:
            keys.find("ES256", name).__await__().send(None)
        assert not done.value.value
        assert provider.fetches == 1


async def test_keys_are_kept_fresh_although_something_broke_that_should_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with identity_provider() as provider, keys_of(provider, tmp_path, refresh=0.05) as keys:
        await known(keys, "key-1")
        with monkeypatch.context() as patch:
            patch.setattr(Shelf, "read", lambda _: 1 / 0)
            async with asyncio.timeout(PATIENCE):
                while "cannot be kept fresh" not in caplog.text:
                    await asyncio.sleep(0.01)
            with pytest.raises(IssuerUnavailable):
                await known(keys, "new")
        provider.came.clear()
        await asyncio.wait_for(provider.came.wait(), PATIENCE)
        assert await known(keys, "key-1", provider.rotate()) == [True, True]


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


async def test_a_slow_provider_delays_nobody_whose_key_is_known(tmp_path: Path) -> None:
    async with identity_provider() as provider, keys_of(provider, tmp_path, timeout=0.1) as keys:
        await known(keys, "key-1")
        provider.gate.clear()
        waiting = asyncio.create_task(known(keys, "new"))
        await asyncio.sleep(0)
        assert await known(keys, "key-1") == [True]
        assert not waiting.done()
        with pytest.raises(IssuerUnavailable):
            await waiting


async def test_without_any_key_it_is_not_said_that_the_token_is_bad(tmp_path: Path) -> None:
    provider = IdentityProvider()
    provider.url = "http://127.0.0.1:9"
    async with keys_of(provider, tmp_path) as keys:
        with pytest.raises(IssuerUnavailable):
            await keys.find("ES256", "key-1")


async def test_nobody_is_called_bad_by_keys_that_are_let_go_while_he_waits(tmp_path: Path) -> None:
    async with identity_provider() as provider, keys_of(provider, tmp_path) as keys:
        await known(keys, "key-1")
        provider.gate.clear()
        provider.came.clear()
        waiting = asyncio.create_task(known(keys, "new"))
        await provider.came.wait()
        await keys.close()
        with pytest.raises(IssuerUnavailable):
            await waiting


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
            await asyncio.wait_for(provider.came.wait(), PATIENCE)
        assert keys.size == 1


async def test_a_long_cooldown_is_not_waited_for_but_told(tmp_path: Path) -> None:
    async with identity_provider() as provider, keys_of(provider, tmp_path, cooldown=60.0) as keys:
        assert await known(keys, "key-1", "nobody's") == [True, False]
        async with asyncio.timeout(PATIENCE):
            for _ in range(3):
                with pytest.raises(IssuerUnavailable) as caught:
                    await known(keys, provider.rotate())
                assert 50 <= int(dict(caught.value.headers)["Retry-After"]) <= 60
        assert provider.fetches == 2


async def test_no_worker_waits_for_the_long_cooldown_of_another(tmp_path: Path) -> None:
    async with identity_provider() as provider, AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(keys_of(provider, tmp_path, cooldown=60.0)) for _ in range(3)]
        assert await asyncio.gather(*(known(each, "key-1") for each in workers)) == [[True]] * 3
        assert await known(workers[0], "nobody's") == [False]
        new = provider.rotate()
        async with asyncio.timeout(10):  # less than tokens have patience
            for keys in (*reversed(workers), *workers):
                with pytest.raises(IssuerUnavailable):
                    await known(keys, new)
        assert provider.fetches == 2


async def test_a_token_that_names_no_key_may_be_signed_with_a_newer_one_of_the_same_algorithm(tmp_path: Path) -> None:
    async with identity_provider() as provider, keys_of(provider, tmp_path) as keys:
        old = await keys.find("ES256", None)
        assert len(old) == 1
        assert not await keys.find("ES256", None, old)
        provider.rotate(keep=1)
        assert [key in old for key in await keys.find("ES256", None, old)] == [False]
        assert len(await keys.find("ES256", None)) == 2  # the one just withdrawn, too
        assert provider.fetches == 3
