"""An identity provider's outage is not our callers', nor are its nonsense, a full disk and a clock that is set back."""

import asyncio
import logging
import time
from pathlib import Path
from typing import Any

import pytest

from gatewayd.errors import IssuerUnavailable
from gatewayd.identity.jwk import MAX_KEYS
from gatewayd.identity.shelf import Kept, Shelf
from gatewayd.stores.documents import open_documents
from tests.clocks import ManualClock
from tests.identity.provider import DISCOVERY, PATH, IdentityProvider, identity_provider, jwk
from tests.identity.workers import kept, keys_of, known


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param({"status": 500}, id="500"),
        pytest.param({"status": 302, "headers": {"Location": "/elsewhere"}}, id="redirect"),
        pytest.param({"body": b"x" * (10 * 1024 * 1024)}, id="10 MB"),
        pytest.param({"body": b'{"keys":[' + b"{}," * 10_000 + b"{}]}"}, id="10,001 keys"),
        pytest.param({"body": b'{"keys":[{"kty":"EC"}]}'}, id="broken keys only"),
        pytest.param({"body": b"[]"}, id="wrong type of JSON"),
        pytest.param({"body": b'{"keys":{}}'}, id="keys that are no list"),
        pytest.param({"body": b"[" * 100_000}, id="deep"),
        pytest.param({"body": b'{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}'}, id="a shared secret"),
        pytest.param({"body": b"<html>", "headers": {"Content-Type": "text/html"}}, id="wrong type"),
        pytest.param({"body": b'{"keys":[]}'}, id="no keys"),
        pytest.param({"body": b""}, id="nothing"),
    ],
)
async def test_nonsense_from_the_provider_is_told_once_and_the_last_good_keys_stay(
    tmp_path: Path, trouble: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with identity_provider() as provider, keys_of(provider, tmp_path) as keys:
        await known(keys, "key-1")
        for name, value in trouble.items():
            setattr(provider, name, value)
        for unknown in ("a", "b"):
            with pytest.raises(IssuerUnavailable):  # whether there is such a key nobody said
                await known(keys, unknown)
        assert await known(keys, "key-1") == [True]
        assert keys.failing
        (line,) = [each.message for each in caplog.records if "cannot be had" in each.message]
        assert "the 1 known ones stay in force" in line
        for name in trouble:
            setattr(provider, name, {"status": 200, "body": None, "headers": {}}[name])
        with caplog.at_level(logging.INFO):
            assert await known(keys, provider.rotate()) == [True]
        assert "can be had again" in caplog.text
        assert not keys.failing


async def test_a_broken_key_is_told_once_while_it_is_there_however_often_it_is_seen(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with identity_provider() as provider, keys_of(provider, tmp_path) as keys:
        await known(keys, "key-1")
        sound = provider.document()
        provider.body = sound[:-2] + b',{"kty":"EC"}]}'
        for turn in range(5):
            assert await known(keys, "key-1", f"random {turn}") == [True, False]
        assert caplog.text.count("key 2 is left out") == 1
        provider.body = sound
        await known(keys, "random")
        provider.body = sound[:-2] + b',{"kty":"EC"}]}'
        await known(keys, "random")
        assert caplog.text.count("key 2 is left out") == 2


async def test_known_keys_outlive_a_restart_while_the_provider_is_down(tmp_path: Path) -> None:
    provider = IdentityProvider()
    provider.rotate()
    async with provider.serving(), keys_of(provider, tmp_path) as keys:
        await known(keys, "key-1")
        await kept(tmp_path)
    async with keys_of(provider, tmp_path) as keys:
        assert await known(keys, "key-1") == [True]
        with pytest.raises(IssuerUnavailable):
            await known(keys, "another")
    assert provider.fetches == 1


async def test_keys_that_are_too_old_serve_nobody(tmp_path: Path) -> None:
    clock = ManualClock()
    provider = IdentityProvider()
    provider.rotate()
    async with provider.serving(), keys_of(provider, tmp_path, clock=clock, stale=600.0) as keys:
        await known(keys, "key-1")
        await kept(tmp_path)
    clock.advance(599)
    async with keys_of(provider, tmp_path, clock=clock, stale=600.0) as keys:
        assert await known(keys, "key-1") == [True]
        clock.advance(2)
        keys._holding.expire()
        assert keys.size == 0
    clock.advance(3600)
    async with keys_of(provider, tmp_path, clock=clock, stale=600.0) as keys:
        with pytest.raises(IssuerUnavailable):
            await keys.find("ES256", "key-1")


class Shifted:
    """The machine's clocks, and what a test adds to them."""

    utc_by = monotonic_by = 0.0

    def utc(self) -> float:
        return time.time() + self.utc_by

    def monotonic(self) -> float:
        return time.monotonic() + self.monotonic_by


async def test_a_clock_that_is_set_back_condemns_no_new_key_in_any_worker(tmp_path: Path) -> None:
    clock = Shifted()
    async with (
        identity_provider() as provider,
        keys_of(provider, tmp_path, clock=clock) as one,
        keys_of(provider, tmp_path, clock=clock) as two,
    ):
        assert await known(one, "key-1") == await known(two, "key-1") == [True]
        for first, second in ((one, two), (two, one)):
            clock.utc_by -= 3600
            new = provider.rotate()
            assert await known(first, new) == await known(second, new) == [True]
        assert provider.fetches == 3  # what one fetched, the other read


async def test_a_disk_that_is_full_costs_no_worker_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_shelf: Shelf, _kept: Kept) -> None:
        raise OSError(28, "No space left on device")

    async with identity_provider() as provider, keys_of(provider, tmp_path) as one, keys_of(provider, tmp_path) as two:
        assert await known(one, "key-1") == await known(two, "key-1") == [True]
        monkeypatch.setattr(Shelf, "write", full)
        for _ in range(3):
            new = provider.rotate()
            assert await asyncio.gather(*(known(each, new) for each in (one, two))) == [[True]] * 2
            assert await known(two, "random") == await known(one, "random") == [False]
    assert caplog.text.count("cannot be kept on disk: No space") <= 2  # once a worker


async def test_a_state_directory_that_takes_no_file_costs_no_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "jwks").touch()
    async with identity_provider() as provider, keys_of(provider, tmp_path) as keys:
        assert await known(keys, "key-1", "new", "key-1", "newer") == [True, False, True, False]
    assert caplog.text.count("cannot be kept on disk") == 1
    assert caplog.text.count("no file in server.state_dir can be made") == 1


async def test_the_issuer_is_asked_where_its_keys_are_as_often_as_keys_are_made_sure_of(tmp_path: Path) -> None:
    clock = Shifted()
    async with identity_provider() as provider, keys_of(provider, tmp_path, discovered=True, clock=clock) as keys:
        assert await known(keys, "key-1") == [True]
        assert provider.asked == [DISCOVERY, PATH]
        assert await known(keys, provider.rotate()) == [True]
        assert provider.asked == [DISCOVERY, PATH, PATH]
        clock.monotonic_by = 301
        assert await known(keys, provider.rotate()) == [True]
        assert provider.asked == [DISCOVERY, PATH, PATH, DISCOVERY, PATH]


async def test_a_daemon_takes_what_another_has_shared(tmp_path: Path) -> None:
    shared = open_documents("memory:", shared=False)
    provider = IdentityProvider()
    provider.rotate()
    async with provider.serving(), keys_of(provider, tmp_path / "a", shared=shared) as keys:
        await known(keys, "key-1")
        while await shared.find(keys._holding.shared_name) is None:
            await asyncio.sleep(0.001)
    async with keys_of(provider, tmp_path / "b", shared=shared) as keys:
        assert await known(keys, "key-1") == [True]
    assert provider.fetches == 1


async def test_what_another_daemon_shared_is_not_taken_if_it_is_no_key_set(tmp_path: Path) -> None:
    shared = open_documents("memory:", shared=False)
    async with identity_provider() as provider, keys_of(provider, tmp_path, shared=shared) as keys:
        await known(keys, "key-1")
        for nonsense in (Kept(9e9, "u", b"{}").packed(), b"x", "text"):
            await shared.keep(keys._holding.shared_name, nonsense, 60)  # type: ignore[arg-type]
            assert await known(keys, "key-1", provider.rotate()) == [True, True]


def test_a_real_document_is_far_below_the_bounds() -> None:
    provider = IdentityProvider()
    for _ in range(20):
        provider.rotate()
    assert len(provider.document()) < 20 * 1024
    assert len(provider.keys) < MAX_KEYS
    assert jwk(provider.keys["key-1"], "ES256")
