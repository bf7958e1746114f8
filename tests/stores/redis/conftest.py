"""One Valkey for all tests that do it no harm, and empty for each."""

from collections.abc import Iterator

import pytest

from tests.valkey import Valkey, valkey


@pytest.fixture(scope="session")
def standing() -> Iterator[Valkey]:
    with valkey() as server:
        yield server


@pytest.fixture
def server(standing: Valkey) -> Valkey:
    standing.say("FLUSHALL")
    return standing
