"""The servers that daemons of these tests stand on."""

from collections.abc import Iterator

import pytest

from tests.postgres import postgres_server, rest
from tests.valkey import Valkey, valkey

__all__ = ["postgres_server", "rest"]


@pytest.fixture(scope="package")
def standing() -> Iterator[Valkey]:
    with valkey() as server:
        yield server


@pytest.fixture
def counters(standing: Valkey) -> Valkey:
    """Running, and empty."""
    standing.say("FLUSHALL")
    return standing
