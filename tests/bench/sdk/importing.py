"""How long a program waits for `import gatewayd_sdk`, and for the client that it takes from it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Final

from tests.bench.declare import Bench, Figure, Measured, Round, at_most, scaled

TIMES: Final = 10
WHAT: Final = {
    "package": "import gatewayd_sdk",
    "blocking": "from gatewayd_sdk import Gateway",
    "asyncio": "from gatewayd_sdk import AsyncGateway",
    "aiohttp": "import aiohttp",
    "urllib3": "import urllib3",
}
PROGRAM: Final = "import time; began = time.perf_counter(); {}; print(time.perf_counter() - began)"


def milliseconds(statement: str) -> float:
    command = (sys.executable, "-c", PROGRAM.format(statement))
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) * 1e3


@contextmanager
def importing(scale: float) -> Iterator[Round]:
    def measure() -> Measured:
        times = range(scaled(TIMES, scale))
        return {name: median(milliseconds(statement) for _ in times) for name, statement in WHAT.items()}

    yield measure


BENCHES: Final = (
    Bench(
        "sdk.importing",
        tuple(
            Figure(name, "ms", statement, at_most(150) if "gatewayd_sdk" in statement else None)
            for name, statement in WHAT.items()
        ),
        importing,
    ),
)
