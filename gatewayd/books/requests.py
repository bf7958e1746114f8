"""What other daemons ask of this one: to give back what it does not need, so that they need not refuse."""

from dataclasses import dataclass

from gatewayd.books.reserve import Reserve
from gatewayd.books.staff import Staff
from gatewayd.books.vault import Vault
from gatewayd.model import Account
from gatewayd.stores.base import Batch


@dataclass(slots=True)
class Request:
    """Mutable: `asked` are this daemon's workers who have not answered yet."""

    number: int
    asked: set[int]


class Requests:
    """Mutable: requests by account, from the moment that they are seen until the answer is in the ledger."""

    def __init__(self, vault: Vault, staff: Staff, reserve: Reserve) -> None:
        self._vault = vault
        self._staff = staff
        self._reserve = reserve
        self._requests: dict[Account, Request] = {}

    def answered(self, number: int) -> None:
        for request in self._requests.values():
            request.asked.discard(number)

    def unanswered(self, number: int) -> None:
        """A worker's connection is gone: what was asked of it is asked again when it is back."""
        self._requests = {account: each for account, each in self._requests.items() if number not in each.asked}

    async def answer_all(self) -> None:
        """Ask the workers for what was requested since; give back what they have returned."""
        for account, number in (await self._vault.recalled()).items():
            known = self._requests.get(account)
            if (known is None or known.number != number) and not self._staff.misses(account):
                self._requests[account] = Request(number, self._staff.recall(account))
        ready = {account: each.number for account, each in self._requests.items() if not each.asked}
        if ready:
            returned = {account: units for account in ready if (units := self._reserve.of(account))}
            await self._vault.post(Batch(returned=returned, answered=ready))
            self._reserve.gone_back(returned)
            for account in ready:
                self._requests.pop(account, None)
