"""The daemon's way to the ledger: one call at a time, and a memory of whether the last one is known to be done."""

import secrets
from collections.abc import Awaitable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar, cast

from gatewayd.books.till import Till
from gatewayd.clock import Clock
from gatewayd.config.settings import LedgerSettings
from gatewayd.errors import StoreError, StoreUnavailable
from gatewayd.model import Account, Balance, DirectoryPage
from gatewayd.stores.base import Batch, Examination, Grant, LedgerStore, OwnLedgerStore, Recall, Want
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
        self._till = Till()
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

    @property
    def owes_limits(self) -> bool:
        """Whether balances are only in memory yet, or their limits."""
        return self._till.owes_limits

    async def lease(self, wants: Sequence[Want]) -> Sequence[Grant]:
        """As `base.Leasing.lease`. Of a ledger of its own the daemon takes units in memory; rows of it follow."""
        if self.shared:
            return await self._do(self._opened.lease(self.node, wants))
        standings = await self._do(self._own.standings(wants))
        now = self._clock.monotonic()
        return [self._till.grant(want, standing, now) for want, standing in zip(wants, standings, strict=True)]

    async def post(self, batch: Batch, charged: Collection[Account] = (), *, whole: bool = False) -> None:
        """As `base.Leasing.post`, if there is something. `charged`: whose records these are.

        `whole`: rows are to say all that is leased, also what may be given back in a moment.
        """
        if not self.shared:
            await self._enter(batch, charged, whole=whole)
        elif batch.postings or batch.returned or batch.in_flight or batch.answered:
            await self._do(self._opened.post(self.node, batch))

    async def _enter(self, batch: Batch, charged: Collection[Account], *, whole: bool) -> None:
        now = self._clock.monotonic()
        self._till.take_back(batch.returned, now)
        sheet = self._till.sheet(charged, batch.in_flight, now, whole=whole)
        if not self.certain:
            sheet = sheet._replace(leased={}, rowless=())
        if batch.postings or batch.in_flight or sheet.limits or sheet.leased:
            await self._do(self._own.enter(self.node, Batch(batch.postings, in_flight=batch.in_flight), sheet))
            self._till.written(sheet)

    def charged(self, drawn: Mapping[Account, int]) -> None:
        """What records that are in the ledger now drew from leases."""
        if not self.shared:
            self._till.charged(drawn, self._clock.monotonic())

    async def leases(self) -> dict[Account, int]:
        """What the ledger says; of one that is its own, once it has what strangers left there."""
        if not self.shared:
            await self._do(self._opened.lease(self.node, []))
        return dict(await self._do(self._opened.leases(self.node)))

    def free(self, leased: Mapping[Account, int], taken: Mapping[Account, int]) -> dict[Account, int]:
        """What nobody has of what the ledger says is leased.

        Of a ledger of its own that is nothing: all that nobody has is in it, and what somebody has is not, whatever
        the rows say; these follow.
        """
        if self.shared:
            return {account: units - taken.get(account, 0) for account, units in leased.items()}
        self._till.begin(taken, leased)
        return {}

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
    def _own(self) -> OwnLedgerStore:
        return cast("OwnLedgerStore", self._opened)

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
