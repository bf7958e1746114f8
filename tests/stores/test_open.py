import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from gatewayd.errors import StoreError
from gatewayd.stores.open import Counting, open_clerk, open_counters, open_reader, open_store
from gatewayd.stores.shared.counters import SharedCounters
from gatewayd.stores.shared.memory import SharedMemory
from tests.clocks import ManualClock


def count(url: str) -> object:
    memory = SharedMemory.create(64)
    try:
        return open_counters(url, Counting(memory, ManualClock()))
    finally:
        memory.close()


OPENERS: dict[str, Callable[[str], object]] = {
    "counters.url": count,
    "ledger.url": lambda url: asyncio.run(open_store(url, "process", ManualClock())),
}


def test_counters_are_chosen_by_their_scheme() -> None:
    assert isinstance(count("memory:"), SharedCounters)


async def test_a_ledger_is_chosen_by_its_scheme(tmp_path: Path, clock: ManualClock) -> None:
    url = f"sqlite:{tmp_path}/var/ledger.db"
    store = await open_store(url, "disk", clock)
    with open_clerk(url) as clerk:
        clerk.assign("ann", "pro")
    await store.close()
    with open_reader(url) as reader:
        assert reader.directory().plans == {"ann": "pro"}


@pytest.mark.parametrize(
    ("key", "url", "message"),
    [
        pytest.param("counters.url", "memory:x", "takes nothing after the colon", id="memory with a rest"),
        pytest.param("counters.url", "memcached://s3cret", "memcached: is not a kind of store", id="unknown"),
        pytest.param("ledger.url", "s3cret", "an address begins with sqlite:", id="no scheme"),
        pytest.param("ledger.url", "user:s3cret@host", "an address begins with sqlite:", id="a colon, no scheme"),
        pytest.param("ledger.url", "", "an address begins with sqlite:", id="empty"),
        pytest.param("ledger.url", "sqlite:", "write sqlite:PATH", id="no path"),
        pytest.param("ledger.url", "sqlite://var/ledger.db", "write sqlite:PATH", id="two slashes"),
    ],
)
def test_an_unusable_address_is_refused_by_its_key_and_without_its_secret(key: str, url: str, message: str) -> None:
    with pytest.raises(StoreError) as refused:
        OPENERS[key](url)
    assert str(refused.value).startswith(f"{key}: ")
    assert message in str(refused.value)
    assert "s3cret" not in str(refused.value)
