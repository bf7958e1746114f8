"""How long a test waits for what must come, and how."""

import asyncio
from collections.abc import Callable
from typing import Final

PATIENCE: Final = 30.0
"""Seconds: far more than a machine stands still, and only a failure costs them."""


async def when(done: Callable[[], object]) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(PATIENCE):
        while not done():
            await asyncio.sleep(0.001)
