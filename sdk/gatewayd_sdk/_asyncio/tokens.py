"""The token in use, made anew when the gateway refuses it, by one task for all."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

from gatewayd_sdk._core.options import check_token
from gatewayd_sdk._core.setup import token_failure


class Tokens:
    """Mutable: it keeps the token. The lock is of the loop that first waits for it."""

    def __init__(self, make: Callable[[], str | Awaitable[str]]) -> None:
        self._make = make
        self._known: str | None = None
        self._lock = asyncio.Lock()

    async def get(self, refused: str | None) -> str:
        """The token there is, or a new one if there is none or it is the `refused` one."""
        if self._known is not None and self._known != refused:
            return self._known
        async with self._lock:
            if self._known is None or self._known == refused:
                self._known = None
                self._known = await self._made()
            return self._known

    async def _made(self) -> str:
        try:
            made = self._make()
            return check_token(await made if inspect.isawaitable(made) else made)
        except Exception as error:
            raise token_failure(error) from error
