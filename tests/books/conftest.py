"""What the tests of the books may ask for."""

import random
from functools import partial

import pytest

from gatewayd.books import vault
from gatewayd.clock import Clock
from gatewayd.model import Durability
from gatewayd.stores.base import LedgerStore
from gatewayd.stores.open import open_store
from gatewayd.stores.sqlite import store
from tests.books.faulty import FaultyStore, Weather
from tests.books.unthreaded import Unthreaded


@pytest.fixture
def weather(monkeypatch: pytest.MonkeyPatch) -> Weather:
    """What every bookkeeper's ledger is seen through."""
    made = Weather()

    async def opened(url: str, durability: Durability, clock: Clock) -> LedgerStore:
        return FaultyStore(await open_store(url, durability, clock), made)

    monkeypatch.setattr(vault, "open_store", opened)
    return made


@pytest.fixture
def unthreaded(monkeypatch: pytest.MonkeyPatch) -> random.Random:
    """What decides how long each commit takes, in ledgers that have no thread."""
    chance = random.Random()
    monkeypatch.setattr(store, "Committer", partial(Unthreaded, chance))
    return chance
