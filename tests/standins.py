"""Stand-ins for what stands behind the ring, each with a switch for the trouble that a test wants to see."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Sequence
from typing import Any

from gatewayd.errors import StoreUnavailable
from gatewayd.generation import Generation, Stores
from gatewayd.identity.base import Verifier
from gatewayd.model import Balance, Hold, Holding, Identity, UsageRecord
from gatewayd.stores.base import Ledger
from tests.gateways import RunningGateway


class BookLedger:
    """A ledger in memory that keeps what it was asked; `away` refuses holds and questions as a lost store does."""

    def __init__(self) -> None:
        self.away = False
        self.holds: dict[str, Hold] = {}
        self.records: list[UsageRecord] = []
        self.released: list[str] = []
        self.used = 0

    async def hold(self, hold: Hold) -> Holding:
        if self.away:
            raise StoreUnavailable
        granted = not hold.limit or self.used + hold.units <= hold.limit
        if granted:
            self.holds[hold.id] = hold
        return Holding(granted, Balance(hold.user_id, hold.unit, hold.period, hold.limit, 0, self.used))

    def hold_at_once(self, hold: Hold, now: float) -> None:
        """Whoever asks has to wait."""

    def settle(self, record: UsageRecord) -> Awaitable[None] | None:
        self.records.append(record)
        self.holds.pop(record.id)
        self.used += record.quantity
        return _done()

    def release(self, hold_id: str) -> Awaitable[None] | None:
        self.released.append(hold_id)
        self.holds.pop(hold_id)
        return None

    def seal(self) -> None:
        """It keeps nothing back."""

    async def balances(self, user_id: str, period: str) -> Sequence[Balance]:
        if self.away:
            raise StoreUnavailable
        return [Balance(user_id, "api_calls", period, 0, len(self.holds), self.used)]

    async def close(self) -> None:
        """Nothing is open."""


def _done() -> asyncio.Future[None]:
    future = asyncio.get_running_loop().create_future()
    future.set_result(None)
    return future


class SlowLedger:
    """Another ledger behind a gate: what is held waits until the gate opens, and so does word of a settlement."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.asked = asyncio.Event()
        self.holding = asyncio.Event()
        self.settling = asyncio.Event()
        self.closings: list[Awaitable[None]] = []

    async def hold(self, hold: Hold) -> Holding:
        self.asked.set()
        await self.holding.wait()
        return await self._ledger.hold(hold)

    def hold_at_once(self, hold: Hold, now: float) -> None:
        """Whoever asks has to wait."""

    def settle(self, record: UsageRecord) -> Awaitable[None]:
        return self._late(self._ledger.settle(record))

    def release(self, hold_id: str) -> Awaitable[None]:
        return self._late(self._ledger.release(hold_id))

    def seal(self) -> None:
        self._ledger.seal()

    def _late(self, closing: Awaitable[None] | None) -> Awaitable[None]:
        async def when_open() -> None:
            await self.settling.wait()
            if closing is not None:
                await closing

        return asyncio.create_task(when_open())

    async def balances(self, user_id: str, period: str) -> Sequence[Balance]:
        await self.holding.wait()
        return await self._ledger.balances(user_id, period)

    async def close(self) -> None:
        await self._ledger.close()


class AskedVerifier:
    """Counts how often it is asked."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier
        self.asked = 0

    def known(self, token: bytes, now: float) -> Identity | None:
        return None  # so that each question is counted

    async def verify(self, token: str) -> Identity:
        self.asked += 1
        return await self._verifier.verify(token)


class Accounts:
    """What operators decided about users, for a test to change."""

    def __init__(self, plans: dict[str, str] | None = None, *, loaded: bool = True) -> None:
        self.plans = plans or {}
        self.loaded = loaded
        self.looks = 0
        self.revoked: set[str] = set()

    def plan_of(self, user: str) -> str | None:
        self.looks += 1
        return self.plans.get(user)

    def refuses(self, identity: Identity) -> bool:
        return identity.user in self.revoked


def current(gateway: RunningGateway) -> Generation:
    """The generation in force."""
    generations = gateway.daemon._worker._generations
    assert generations is not None
    return generations.current


def swap_stores(gateway: RunningGateway, **changes: Any) -> Stores:
    """Put other stores in force for the requests that come; those that were there."""
    before = current(gateway)
    gateway.kept.append(before.stores)
    swap(gateway, stores=dataclasses.replace(before.stores, **changes))
    return before.stores


def swap(gateway: RunningGateway, **changes: Any) -> None:
    """Put a changed generation in force, as a reload would."""
    generations = gateway.daemon._worker._generations
    assert generations is not None
    generations.current = dataclasses.replace(generations.current, **changes)
