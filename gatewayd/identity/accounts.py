"""The plans that operators gave to users, at hand for every request without waiting for a store.

One read of the store a second serves everybody. The refresher puts the whole snapshot (a mapping of user to
plan) as one document into aiocache, to be found there until its next read: whoever shows accounts (the status
of the daemon, its page) awaits `snapshot()` and shares it. A request must not pay aiocache's 7 to 14 µs, so
it asks `plan_of`, which looks into the same document directly. A plan set elsewhere is thus in force within a
second and the time of one read.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Final

from aiocache import SimpleMemoryCache

from gatewayd.stores.base import Accounts

log: Final = logging.getLogger(__name__)

REFRESH_SECONDS: Final = 1.0
_DOCUMENT: Final = "plans"


class AccountPlans:
    """Every account's plan, at most `interval` seconds and one read old; older only while the store fails.

    Mutable: it holds the last good snapshot. The store bounds its own calls in time, and is closed by its
    owner, after this.
    """

    def __init__(self, accounts: Accounts, *, interval: float = REFRESH_SECONDS) -> None:
        self._accounts = accounts
        self._interval = interval
        # Without a timeout of its own, which would cost every call a task to guard a look into a dict.
        self._cache = SimpleMemoryCache(ttl=interval, timeout=0)
        self._reading = asyncio.Lock()
        self._closing = asyncio.Event()
        self._refresher: asyncio.Task[None] | None = None
        self._plans: Mapping[str, str] = MappingProxyType({})
        self._loaded = False
        self._failing = False

    @property
    def loaded(self) -> bool:
        """Whether the store has answered at all; until then every user seems to have no account."""
        return self._loaded

    def plan_of(self, user: str) -> str | None:
        """The plan that an operator gave to this user; None leaves it to the token's claim."""
        return self._plans.get(user)

    async def snapshot(self) -> Mapping[str, str]:
        """Every account's plan, from the shared document; from the store if that is too old.

        Concurrent callers share one read. When the store fails they get the last good snapshot.
        """
        async with self._reading:
            document: Mapping[str, str] | None = await self._cache.get(_DOCUMENT)
            return await self._read() if document is None else document

    async def refresh(self) -> Mapping[str, str]:
        """Read the store now, for whoever just changed it."""
        async with self._reading:
            return await self._read()

    async def start(self) -> None:
        """Read once, then every `interval` seconds until closed. A store that is away stops nothing."""
        await self.refresh()
        self._refresher = asyncio.create_task(self._keep_fresh(), name="account plans")

    async def close(self) -> None:
        """Stop refreshing. A read under way is waited for: only the store knows how to end one cleanly."""
        self._closing.set()
        if self._refresher is not None:
            await self._refresher
        await self._cache.delete(_DOCUMENT)

    async def _keep_fresh(self) -> None:
        while not await self._closed_within(self._interval):
            await self.refresh()

    async def _closed_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)
        return self._closing.is_set()

    async def _read(self) -> Mapping[str, str]:
        try:
            plans = dict(await self._accounts.plans())
        except Exception as error:  # any at all: a dead refresher would freeze every plan unseen
            self._failed(error)
        else:
            self._plans = MappingProxyType(plans)
            self._recovered()
        await self._cache.set(_DOCUMENT, self._plans)
        return self._plans

    def _failed(self, error: Exception) -> None:
        """Once an outage, not once a second."""
        if not self._failing:
            log.warning("account plans cannot be read, the last known stay in force: %s", error)
        self._failing = True

    def _recovered(self) -> None:
        if self._failing:
            log.info("account plans can be read again")
        self._failing, self._loaded = False, True
