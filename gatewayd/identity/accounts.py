"""What operators decided about users, at hand for every request without waiting for a store.

One read of the store every half second serves everybody. The refresher puts the whole directory as one document
into aiocache, to be found there until its next read: whoever shows accounts (the status of the daemon, its page)
awaits `directory()` and shares it. A request must not pay aiocache's 7 to 14 µs, so it asks `plan_of` and
`refuses`, which look into the same document directly. A decision made elsewhere is thus in force within half a
second and the time of one read.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from aiocache import SimpleMemoryCache

from gatewayd.identity.remembered import DirectoryFile
from gatewayd.identity.revocations import NONE, Revocations
from gatewayd.model import Directory, Identity

log: Final = logging.getLogger(__name__)

REFRESH_SECONDS: Final = 0.5
_DOCUMENT: Final = "directory"
_EMPTY: Final = Directory(version=-1, plans={})


class Source(Protocol):
    """Where decisions are kept."""

    async def directory(self, unless: int | None = None) -> Directory | None:
        """All of them; None if their version is still the one given. Bounded in time."""


class DirectorySnapshot:
    """Every decision, at most `interval` seconds and one read old; older only while the source fails.

    Mutable: it holds the last good directory. The source is closed by its owner, after this.
    """

    def __init__(self, source: Source, *, interval: float = REFRESH_SECONDS, file: DirectoryFile | None = None) -> None:
        """`file` is where the last known decisions are kept, for a start while the source is away."""
        self._source = source
        self._file = file
        self._interval = interval
        # Without a timeout of its own, which would cost every call a task to guard a look into a dict.
        self._cache = SimpleMemoryCache(ttl=interval, timeout=0)
        self._reading = asyncio.Lock()
        self._closing = asyncio.Event()
        self._refresher: asyncio.Task[None] | None = None
        self._directory = _EMPTY
        self._revocations = NONE
        self._listeners: tuple[Callable[[], object], ...] = ()
        self._loaded = False
        self._failing = False

    @property
    def loaded(self) -> bool:
        """Whether the source has answered at all; until then what a daemon knew before holds, if it kept that."""
        return self._loaded

    def plan_of(self, user: str) -> str | None:
        """The plan that an operator gave to this user; None leaves it to the token's claim."""
        return self._directory.plans.get(user)

    def refuses(self, identity: Identity) -> bool:
        """Whether the token behind this identity was revoked."""
        return self._revocations.refuses(identity)

    def on_change(self, listener: Callable[[], object]) -> None:
        """Call `listener` whenever revocations have changed; `refuses` knows them by then."""
        self._listeners = (*self._listeners, listener)

    async def directory(self) -> Directory:
        """The shared document; from the source if that is too old.

        Concurrent callers share one read. When the source fails they get the last good one.
        """
        async with self._reading:
            document: Directory | None = await self._cache.get(_DOCUMENT)
            return await self._read() if document is None else document

    async def refresh(self) -> Directory:
        """Read the source now, for whoever just changed it."""
        async with self._reading:
            return await self._read()

    async def start(self) -> None:
        """Read once, then every `interval` seconds until closed. A source that is away stops nothing."""
        if self._file is not None and (kept := await asyncio.to_thread(self._file.read)) is not None:
            self._adopt(kept)
        await self.refresh()
        self._refresher = asyncio.create_task(self._keep_fresh(), name="directory")

    async def close(self) -> None:
        """Stop refreshing. A read under way is waited for: only the source knows how to end one cleanly."""
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

    async def _read(self) -> Directory:
        try:
            changed = await self._source.directory(self._directory.version if self._loaded else None)
            if changed is not None:
                self._adopt(changed)
                await self._keep(changed)
        except Exception as error:  # any at all: a dead refresher would freeze every decision unseen
            self._failed(error)
        else:
            self._recovered()
        await self._cache.set(_DOCUMENT, self._directory)
        return self._directory

    def _adopt(self, directory: Directory) -> None:
        before, self._directory = self._directory, directory
        if directory.revocations != before.revocations:
            self._revocations = Revocations(directory.revocations)
            for listener in self._listeners:
                listener()

    async def _keep(self, directory: Directory) -> None:
        if self._file is None:
            return
        try:
            await asyncio.to_thread(self._file.write, directory)
        except OSError as error:
            log.warning("accounts and revocations cannot be kept on disk: %s", error.strerror)

    def _failed(self, error: Exception) -> None:
        """Once an outage, not once a read."""
        if not self._failing:
            log.warning("accounts and revocations cannot be read, the last known stay in force: %s", error)
        self._failing = True

    def _recovered(self) -> None:
        if self._failing:
            log.info("accounts and revocations can be read again")
        self._failing, self._loaded = False, True
