"""What a daemon of these benches stands on: a folder of its own, and an agent behind it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.agents import RawAgent, Script, raw_agent


@asynccontextmanager
async def standing(script: Script) -> AsyncIterator[tuple[Path, RawAgent]]:
    with TemporaryDirectory(prefix="bench-") as folder:
        async with raw_agent(script) as agent:
            yield Path(folder), agent
