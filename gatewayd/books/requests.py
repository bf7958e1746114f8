"""What other daemons ask of this one: to give back what it does not need, so that they need not refuse."""

from dataclasses import dataclass
from typing import Final

from gatewayd.books.reserve import Reserve
from gatewayd.books.staff import Staff
from gatewayd.books.vault import Vault
from gatewayd.clock import Clock
from gatewayd.model import Account
from gatewayd.stores.base import Batch

PATIENCE: Final = 1.0
"""Seconds that a worker may keep its daemon from lending by not giving back what it has idle."""
CALM_SECONDS: Final = 1.0
"""So long after another daemon had to ask for units of an account, none of it are leased ahead."""


@dataclass(slots=True)
class Request:
    """Mutable: `asked` are this daemon's workers who have not answered yet."""

    number: int
    asked: set[int]
    came: float


class Requests:
    """Mutable: requests by account, from the moment that they are seen until the answer is in the ledger."""

    def __init__(self, vault: Vault, staff: Staff, reserve: Reserve, clock: Clock) -> None:
        self._vault = vault
        self._staff = staff
        self._reserve = reserve
        self._clock = clock
        self._requests: dict[Account, Request] = {}
        self._lately: dict[Account, float] = {}

    def pending(self, account: Account) -> bool:
        """Whether what is idle is being gathered; who is given some of it now would make the answer untrue."""
        request = self._requests.get(account) if self._requests else None
        return request is not None and self._clock.monotonic() - request.came < PATIENCE

    def lately(self, account: Account) -> bool:
        """Whether another daemon needs what is idle, as far as it has asked."""
        since = self._lately.get(account) if self._lately else None
        return since is not None and self._clock.monotonic() - since < CALM_SECONDS

    def answered(self, number: int) -> None:
        for request in self._requests.values():
            request.asked.discard(number)

    def unanswered(self, number: int) -> None:
        """A worker's connection is gone: what was asked of it is asked again when it is back."""
        self._requests = {account: each for account, each in self._requests.items() if number not in each.asked}

    async def answer_all(self) -> None:
        """Ask the workers for what was requested since; give back what they have returned."""
        recalled = await self._vault.recalled()
        now = self._clock.monotonic()  # no earlier than they were asked for: who asks counts on the calm from then on
        self._lately = {account: since for account, since in self._lately.items() if now - since < CALM_SECONDS}
        self._lately |= dict.fromkeys(recalled, now)
        for account, number in recalled.items():
            known = self._requests.get(account)
            if (known is None or known.number != number) and not self._staff.misses(account):
                self._requests[account] = Request(number, self._staff.recall(account), now)
        ready = {account: each.number for account, each in self._requests.items() if not each.asked}
        if ready:
            returned = {account: units for account in ready if (units := self._reserve.of(account))}
            await self._vault.post(Batch(returned=returned, answered=ready))
            self._reserve.gone_back(returned)
            for account in ready:
                self._requests.pop(account, None)
