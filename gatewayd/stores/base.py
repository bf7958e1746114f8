"""What policies may ask of a store. Each Protocol has one behaviour suite, run over every implementation."""

from collections.abc import Awaitable, Mapping, Sequence
from typing import Protocol

from gatewayd.model import Balance, Hold, Holding, Tally, UsageRecord, Window


class Counters(Protocol):
    """Where rate limits count (GCRA: one number a key)."""

    async def take(self, windows: Sequence[Window]) -> Sequence[Tally]:
        """Take one from every window, or from none if any of them is empty; a tally for each, in order."""

    async def close(self) -> None:
        """Give up what the store holds; calls after it are errors."""


class Ledger(Protocol):
    """Quotas and usage records. Balance and record change in one transaction, or neither does."""

    async def hold(self, hold: Hold) -> Holding:
        """Set `hold.units` aside if they fit (held + units ≤ limit − spent), atomically.

        A caller cancelled while waiting holds nothing afterwards. Raises StoreUnavailable.
        """

    def settle(self, record: UsageRecord) -> Awaitable[None]:
        """Turn the hold of `record.id` into the record: units freed, quantity spent, the row written.

        Submitted when called, awaited or not; done when the record survives `kill -9`. A repeat is harmless.
        """

    def release(self, hold_id: str) -> Awaitable[None]:
        """Free the units of a request that reached no agent. Submitted when called; a repeat is harmless."""

    async def balances(self, user_id: str, period: str) -> Sequence[Balance]:
        """The user's balances in the period, by unit; empty when nothing was used yet."""

    async def close(self) -> None:
        """Write what was submitted, then give up the store."""


class Accounts(Protocol):
    """Plans that operators gave to users; they win over what a token claims."""

    async def plans(self) -> Mapping[str, str]:
        """Every account's plan by user id."""

    async def assign(self, user_id: str, plan: str) -> None:
        """Set a user's plan from now on."""
