"""The daemon's way to the ledger: one call at a time, and a memory of whether the last one is known to be done."""

import secrets
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from gatewayd.clock import Clock
from gatewayd.config.settings import LedgerSettings
from gatewayd.errors import StoreError, StoreUnavailable
from gatewayd.model import Account, Balance, DirectoryPage
from gatewayd.stores.base import Batch, Examination, Grant, LedgerStore, Recall, Want
from gatewayd.stores.open import open_store

Done = TypeVar("Done")

JOURNALS: Final = "journal"
"""The directory of workers' journals, in the state directory."""


class Vault:
    """See `base.LedgerStore`, for one `node`. Mutable: opened when the ledger is there, uncertain after a failure.

    A call that failed may have been done all the same (a commit whose answer was lost), so after it nothing may be
    concluded from what the daemon thinks it has leased; `certain` is False until somebody has asked and says so.
    """

    def __init__(self, settings: LedgerSettings, state: Path, clock: Clock) -> None:
        self._url = settings.url.reveal()
        self._durability = settings.durability
        self._clock = clock
        self._store: LedgerStore | None = None
        self._state = state
        self.node = ""
        self.certain = False

    @property
    def shared(self) -> bool:
        """Whether other daemons may use the same ledger at the same time."""
        return not self._url.startswith("sqlite:")

    async def open(self) -> None:
        """Raises StoreError for what an operator must mend, StoreUnavailable for a ledger that is only away."""
        self.node = self.node or node_of(self._state)
        if self._store is None:
            self._store = await open_store(self._url, self._durability, self._clock)

    async def close(self) -> None:
        if self._store is not None:
            await self._store.close()

    async def lease(self, wants: Sequence[Want]) -> Sequence[Grant]:
        return await self._do(self._opened.lease(self.node, wants))

    async def post(self, batch: Batch) -> None:
        await self._do(self._opened.post(self.node, batch))

    async def leases(self) -> dict[Account, int]:
        return dict(await self._do(self._opened.leases(self.node)))

    async def in_flight(self) -> dict[Account, int]:
        return dict(await self._do(self._opened.in_flight(self.node)))

    async def recall(self, account: Account) -> list[Recall]:
        return list(await self._do(self._opened.recall(self.node, [account])))

    async def recalled(self) -> dict[Account, int]:
        return dict(await self._do(self._opened.recalled(self.node)))

    async def unanswered(self, recalls: Sequence[Recall]) -> set[Recall]:
        return set(await self._do(self._opened.unanswered(recalls)))

    async def balances_elsewhere(self, user_id: str, period: str) -> Sequence[Balance]:
        """What is in flight in this daemon left out, which knows that better."""
        return await self._do(self._opened.balances(user_id, period, but=self.node))

    async def directory(self, since: int, most: int) -> DirectoryPage:
        return await self._do(self._opened.directory(since, most))

    async def examine(self, account: Account, so_far: Examination | None, most: int) -> Examination:
        """Changes nothing, so when it fails nothing has become uncertain."""
        return await self._opened.examine(account, so_far, most)

    async def accounts(self, after: Account | None, most: int) -> Sequence[Account]:
        """As `examine`."""
        return await self._opened.accounts(after, most)

    @property
    def _opened(self) -> LedgerStore:
        if self._store is None:
            raise StoreUnavailable
        return self._store

    async def _do(self, doing: Awaitable[Done]) -> Done:
        try:
            return await doing
        except BaseException:
            self.certain = False
            raise


def node_of(state: Path) -> str:
    """The daemon's name in the ledger: made once, the same over restarts with this state directory."""
    path = state / "node"
    try:
        with suppress(FileNotFoundError):
            if known := path.read_text().strip():
                return known
        node = secrets.token_hex(8)
        path.write_text(f"{node}\n")
    except OSError as error:
        raise StoreError(f"server.state_dir: cannot write {path}: {error.strerror}") from None
    return node
