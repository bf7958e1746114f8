"""What goes into the ledger: records out of the journals, leases given back, what is in flight; in batches."""

import asyncio
from collections import Counter
from collections.abc import Collection
from typing import Final

from gatewayd.books.backlog import MOST_SORTED
from gatewayd.books.patrol import Patrol
from gatewayd.books.reserve import Reserve
from gatewayd.books.staff import Staff
from gatewayd.books.teller import Teller
from gatewayd.books.vault import Vault
from gatewayd.clock import Clock
from gatewayd.model import Account
from gatewayd.stores.base import Batch

MOST_RECORDS: Final = 1_000
"""Records in one transaction: some 9 ms, and who wants a lease may wait that long; half as many cost a little more."""
POST_SECONDS: Final = 0.5
"""How long records gather before they are posted, unless they are as many as are sorted at a time: what an account's
cost together, they would nearly cost each. A record has to be in the ledger within 2 s."""
SHARED_POST_SECONDS: Final = 0.05
"""The same where other daemons use the ledger: what this one's leases paid for is spent to them once it is posted."""
IDLE_SECONDS: Final = 1.0
"""What no worker wants of a lease is given back after so long."""
TELL_SECONDS: Final = 0.5


class Posting:
    """Mutable: it remembers what the ledger was told."""

    def __init__(self, vault: Vault, staff: Staff, reserve: Reserve, clock: Clock) -> None:
        self._vault = vault
        self._staff = staff
        self._reserve = reserve
        self._clock = clock
        self._told: Counter[Account] = Counter()
        self._told_at = float("-inf")
        self._posted_at = float("-inf")
        self._patrol = Patrol(vault, clock)

    @property
    def drift(self) -> int:
        """Units by which the ledger is known to differ from itself."""
        return self._patrol.drift

    async def learn(self) -> None:
        """What the ledger was told before, by whomever, and may not be true any more."""
        self._told = Counter(await self._vault.in_flight())

    @property
    def due_in(self) -> float:
        """Seconds until there is something to post; below 0: at once."""
        backlog = self._staff.backlog
        if backlog.begun or len(backlog) >= MOST_SORTED:
            return -1.0
        gathering = SHARED_POST_SECONDS if self._vault.shared else POST_SECONDS
        return self._posted_at + gathering - self._clock.monotonic()

    async def post_if_due(self, wanted: Collection[Account]) -> None:
        """Follow the journals, and post if it is time to."""
        self._staff.read_all(MOST_SORTED)
        if self.due_in <= 0:
            await self.post(wanted)

    async def post(self, wanted: Collection[Account]) -> None:
        """One transaction of what there is, but for leases of accounts that are `wanted`."""
        self._posted_at = self._clock.monotonic()
        idle_since = self._clock.monotonic() - (IDLE_SECONDS if self._vault.shared else 0.0)
        returned = self._reserve.unwanted(idle_since, wanted) if self._vault.certain else {}
        await self._post(returned, self._to_tell())
        await self._patrol.look()

    async def post_first(self) -> None:
        """The batch that failed, if one did: nobody knows whether it is in the ledger, and now somebody does."""
        await self._post({}, {})

    async def read_everything(self) -> bool:
        """All that journals say at this moment, as far as there is room for it; whether there was."""
        for teller in self._staff:
            teller.grown = True
        behind = [*self._staff]
        while behind and not self._staff.backlog.full:
            behind = [each for each in behind if each.behindhand and self._staff.read(each) and each.behindhand]
            if behind:
                await asyncio.sleep(0)
        return not behind

    async def post_everything(self) -> None:
        """All that journals say at this moment, and balances of all who were granted something; the rest may wait."""
        while not await self.read_everything():
            await self._post_what_waits()
        await self._post_what_waits()
        if self._vault.owes_limits:
            await self._post({}, {})

    async def _post_what_waits(self) -> None:
        until = self._staff.backlog.added
        while self._staff.backlog.posted < until:
            await self._post({}, {})

    async def read_rest_of(self, teller: Teller) -> None:
        """What is in the journal of one who writes no more."""
        while self._staff.read(teller):
            if self._staff.backlog.full:
                await self._post({}, {})
            await asyncio.sleep(0)

    async def return_everything(self) -> None:
        """The daemon stops: nothing of its leases stays behind, but what is in flight."""
        self._told_at = float("-inf")
        await self._post(self._reserve.unwanted(self._clock.monotonic(), ()), self._to_tell(), whole=True)

    async def _post(self, returned: dict[Account, int], in_flight: dict[Account, int], *, whole: bool = False) -> None:
        backlog = self._staff.backlog
        postings = backlog.first(MOST_RECORDS)
        await self._vault.post(Batch(postings, returned, in_flight), backlog.whose(), whole=whole)
        charged = backlog.done()
        self._vault.charged(charged)
        self._reserve.gone_back(returned)
        self._remember(in_flight)
        self._patrol.charged(charged)
        for teller, position in self._staff.shipped().items():
            teller.say("shipped", *position)
        self._staff.forget_posted()

    def _remember(self, in_flight: dict[Account, int]) -> None:
        for account, units in in_flight.items():
            self._told[account] = units
            if not units:
                del self._told[account]

    def _to_tell(self) -> dict[Account, int]:
        """Units in flight where that changed since the ledger was told; at most once in TELL_SECONDS."""
        if self._clock.monotonic() - self._told_at < TELL_SECONDS:
            return {}
        self._told_at = self._clock.monotonic()
        now = self._staff.in_flight
        return {account: now[account] for account in {*now, *self._told} if now[account] != self._told[account]}
