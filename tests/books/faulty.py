"""A ledger that is away now and then: before it did what it was asked, or after it, so that nobody knows."""

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar, cast

from gatewayd.errors import StoreUnavailable
from gatewayd.model import Account, Balance, DirectoryPage
from gatewayd.stores.base import (
    Batch,
    Examination,
    Grant,
    LedgerStore,
    OwnLedgerStore,
    Recall,
    Sheet,
    Standing,
    Want,
)

Done = TypeVar("Done")


class Weather:
    """How likely a call fails, and whether all do. Mutable: tests make it."""

    def __init__(self, seed: int = 0, likely: float = 0.0) -> None:
        self._chance = random.Random(seed)
        self.likely = likely
        self.away = False

    def seed(self, seed: int) -> None:
        """The same weather again."""
        self._chance.seed(seed)

    def fails(self) -> bool:
        return self.away or self._chance.random() < self.likely


class FaultyStore:
    """See `base.OwnLedgerStore`: another one, seen through bad weather."""

    def __init__(self, store: LedgerStore, weather: Weather) -> None:
        self._store = store
        self._weather = weather

    async def lease(self, node: str, wants: Sequence[Want]) -> Sequence[Grant]:
        return await self._through(self._store.lease, node, wants)

    async def post(self, node: str, batch: Batch) -> None:
        await self._through(self._store.post, node, batch)

    async def standings(self, wants: Sequence[Want]) -> Sequence[Standing | None]:
        return await self._through(cast("OwnLedgerStore", self._store).standings, wants)

    async def enter(self, node: str, batch: Batch, sheet: Sheet) -> None:
        await self._through(cast("OwnLedgerStore", self._store).enter, node, batch, sheet)

    async def leases(self, node: str) -> Mapping[Account, int]:
        return await self._through(self._store.leases, node)

    async def in_flight(self, node: str) -> Mapping[Account, int]:
        return await self._through(self._store.in_flight, node)

    async def recall(self, node: str, accounts: Sequence[Account]) -> Sequence[Recall]:
        return await self._through(self._store.recall, node, accounts)

    async def recalled(self, node: str) -> Mapping[Account, int]:
        return await self._through(self._store.recalled, node)

    async def unanswered(self, recalls: Sequence[Recall]) -> Sequence[Recall]:
        return await self._through(self._store.unanswered, recalls)

    async def balances(self, user_id: str, period: str, *, but: str = "") -> Sequence[Balance]:
        self._may_fail()
        return await self._store.balances(user_id, period, but=but)

    async def directory(self, since: int, most: int) -> DirectoryPage:
        return await self._through(self._store.directory, since, most)

    async def examine(self, account: Account, so_far: Examination | None, most: int) -> Examination:
        return await self._through(self._store.examine, account, so_far, most)

    async def accounts(self, after: Account | None, most: int) -> Sequence[Account]:
        return await self._through(self._store.accounts, after, most)

    async def close(self) -> None:
        await self._store.close()

    async def _through(self, call: Callable[..., Awaitable[Done]], *words: object) -> Done:
        self._may_fail()
        done = await call(*words)
        self._may_fail()
        return done

    def _may_fail(self) -> None:
        if self._weather.fails():
            raise StoreUnavailable
