"""What operators decided about users, at hand for every request without waiting for a store.

One look at the store every half second serves everybody, and reads only what was changed since the last. The
refresher puts what is known as one document into aiocache, to be found there until its next read: whoever shows
accounts (the status of the daemon, its page) awaits `directory()` and shares it. A request must not pay aiocache's 7
to 14 µs, so it asks `standing`, which looks into the same document directly. A decision made elsewhere is thus in
force within half a second and the time of one read.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from aiocache import SimpleMemoryCache

from gatewayd.identity.known import KnownDirectory, Standing
from gatewayd.identity.remembered import DirectoryFile
from gatewayd.model import DirectoryPage, Identity

log: Final = logging.getLogger(__name__)

REFRESH_SECONDS: Final = 0.5
KEEPING: Final = 0.1
"""The part of the time in which what is known may be written to disk, however often it changes."""
_DOCUMENT: Final = "directory"


class Source(Protocol):
    """Where decisions are kept."""

    async def directory(self, since: int) -> DirectoryPage:
        """The next of them after this version; see `DirectoryPage`. Bounded in time."""


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
        self._keeper: asyncio.Task[None] | None = None
        self.standing = Standing()
        self._listeners: tuple[Callable[[], object], ...] = ()
        self._failing = False

    @property
    def loaded(self) -> bool:
        """Whether the source has answered at all; until then what a daemon knew before holds, if it kept that."""
        return self.standing.loaded

    def plan_of(self, user: str) -> str | None:
        """The plan that an operator gave to this user; None leaves it to the token's claim."""
        return self.standing.plan_of(user)

    def refuses(self, identity: Identity) -> bool:
        """Whether the token behind this identity was revoked."""
        return self.standing.refuses(identity)

    def on_change(self, listener: Callable[[], object]) -> None:
        """Call `listener` whenever revocations have changed; `refuses` knows them by then."""
        self._listeners = (*self._listeners, listener)

    async def directory(self) -> KnownDirectory:
        """The shared document, which grows; from the source if that is too old.

        Concurrent callers share one read. When the source fails they get the last good one.
        """
        async with self._reading:
            document: KnownDirectory | None = await self._cache.get(_DOCUMENT)
            return await self._read() if document is None else document

    async def refresh(self) -> KnownDirectory:
        """Read the source now, for whoever just changed it."""
        async with self._reading:
            return await self._read()

    async def start(self) -> None:
        """Read once, then every `interval` seconds until closed. A source that is away stops nothing."""
        if self._file is not None and (kept := await asyncio.to_thread(self._file.read)) is not None:
            self._adopt(KnownDirectory(kept.plans, kept.revocations))
        await self.refresh()
        self._refresher = asyncio.create_task(self._keep_fresh(), name="directory")

    async def close(self) -> None:
        """Stop refreshing. A read under way is waited for: only the source knows how to end one cleanly."""
        self._closing.set()
        if self._refresher is not None:
            await self._refresher
        if self._keeper is not None:
            await self._keeper
        await self._cache.delete(_DOCUMENT)

    async def _keep_fresh(self) -> None:
        while not await self._closed_within(self._interval):
            await self.refresh()

    async def _closed_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)
        return self._closing.is_set()

    async def _read(self) -> KnownDirectory:
        try:
            await self._catch_up()
        except Exception as error:  # any at all: a dead refresher would freeze every decision unseen
            self._failed(error)
        else:
            self._recovered()
        await self._cache.set(_DOCUMENT, self.standing.known)
        return self.standing.known

    async def _catch_up(self) -> None:
        """Read what is new. What has to be read from the beginning comes into force when all of it is there."""
        known, before = self.standing.known if self.standing.loaded else KnownDirectory(), self.standing.known.version
        more = True
        while more:
            page = await self._source.directory(known.version)
            if known.version and not page.since:
                known = KnownDirectory()
            known.add(page)
            more = page.more
            if known is self.standing.known and page.revocations:
                self._tell()
        if known is not self.standing.known:
            self._adopt(known)
        if known.version != before or not self.standing.loaded:
            self._keep_soon()

    def _adopt(self, known: KnownDirectory) -> None:
        before, self.standing.known = self.standing.known, known
        if known.revocations != before.revocations:
            self._tell()

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()

    def _keep_soon(self) -> None:
        if self._file is not None and (self._keeper is None or self._keeper.done()):
            self._keeper = asyncio.create_task(self._keep(self._file), name="directory on disk")

    async def _keep(self, file: DirectoryFile) -> None:
        """Write it until what is written is what is known."""
        loop, kept = asyncio.get_running_loop(), -1
        while kept != self.standing.known.version:
            begun, standing = loop.time(), self.standing.known.as_it_stands()
            try:
                await asyncio.to_thread(file.write, standing)
            except OSError as error:
                log.warning("accounts and revocations cannot be kept on disk: %s", error.strerror)
            kept = standing.version
            await self._closed_within((loop.time() - begun) * (1 / KEEPING - 1))

    def _failed(self, error: Exception) -> None:
        """Once an outage, not once a read."""
        if not self._failing:
            log.warning("accounts and revocations cannot be read, the last known stay in force: %s", error)
        self._failing = True

    def _recovered(self) -> None:
        if self._failing:
            log.info("accounts and revocations can be read again")
        self._failing, self.standing.loaded = False, True
