"""Small documents that are read seldom and may be lost: in this process, or in the Redis that daemons count in."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiocache import RedisCache, SimpleMemoryCache
from aiocache.serializers import NullSerializer

from gatewayd.stores.redis.line import connections

log: Final = logging.getLogger(__name__)


class Documents:
    """aiocache, of which nothing is expected: a cache that is away has nothing. Mutable: it notes that it fails."""

    def __init__(self, cache: Any, close: Callable[[], Awaitable[None]] | None = None) -> None:
        self._cache = cache
        self._close = close
        self._failing = False

    async def find(self, name: str) -> object:
        """What was kept under the name, if it is still there."""
        try:
            found: object = await self._cache.get(name)
        except Exception as error:  # of a driver or a serializer, whichever: keys do not depend on this
            self._failed(error)
            return None
        self._failing = False
        return found

    async def keep(self, name: str, document: bytes, seconds: float) -> None:
        try:
            await self._cache.set(name, document, ttl=max(1, int(seconds)))
        except Exception as error:
            self._failed(error)

    async def close(self) -> None:
        if self._close is not None:
            await self._close()

    def _failed(self, error: Exception) -> None:
        """Once an outage; the error's words could quote the server's address."""
        if not self._failing:
            log.warning("documents cannot be shared with other daemons for now: %s", type(error).__name__)
        self._failing = True


class _RedisCache(RedisCache):  # type: ignore[misc]  # aiocache has no types
    """aiocache's asks for SETEX, which redis-py has deprecated."""

    async def _set(self, key: str, value: bytes, ttl: int | None = None, **_: object) -> object:
        return await self.client.set(key, value, ex=ttl)


def open_documents(counters_url: str, *, shared: bool) -> Documents:
    """`shared`: with every daemon that counts in the same Redis, if that is where they count. Raises StoreError."""
    # No timeout of aiocache's: it cancels a driver in the middle of an answer. The connections have their own.
    if not shared or counters_url.startswith("memory:"):
        return Documents(SimpleMemoryCache(timeout=0))
    pool = connections(counters_url)
    cache = _RedisCache(
        timeout=0,
        namespace="gatewayd",
        serializer=NullSerializer(encoding=None),
        connection_pool_class=lambda **_: pool,
    )
    return Documents(cache, pool.disconnect)
