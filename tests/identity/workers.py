"""The keys of a provider as one worker of a daemon has them; those in one state directory are workers of one daemon."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from gatewayd.config.settings import Provider
from gatewayd.identity.fetching import fetch
from gatewayd.identity.published import PublishedKeys
from gatewayd.identity.shelf import Shelf
from gatewayd.stores.documents import Documents, open_documents
from tests.identity.forging import JWKS
from tests.identity.provider import IdentityProvider
from tests.patience import PATIENCE
from tests.pauses import CalmClock

QUICK = replace(JWKS, cooldown=0.05, timeout=2.0)


@asynccontextmanager
async def keys_of(
    provider: IdentityProvider,
    state: Path,
    *,
    shared: Documents | None = None,
    discovered: bool = False,
    clock: Any = None,
    **jwks: Any,
) -> AsyncIterator[PublishedKeys]:
    settings = replace(QUICK, **jwks)
    where = Provider(None, provider.url, settings) if discovered else Provider(provider.jwks_url, None, settings)
    documents = shared or open_documents("memory:", shared=False)
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        get = partial(fetch, session, timeout=settings.timeout)
        keys = PublishedKeys(where, get, Shelf(state, where), documents, clock or CalmClock())
        keys.start()
        try:
            yield keys
        finally:
            await keys.close()


async def known(keys: PublishedKeys, *ids: str) -> list[bool]:
    """Which of these keys there are."""
    return [bool(await keys.find("ES256", each)) for each in ids]


async def kept(state: Path) -> None:
    """Wait until a document is on disk."""
    async with asyncio.timeout(PATIENCE):
        while not list(state.glob("jwks/*.keys")):
            await asyncio.sleep(0.001)
