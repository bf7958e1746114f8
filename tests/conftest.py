"""What every test may ask for."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
from hypothesis import settings

from tests.clocks import ManualClock
from tests.pauses import CalmLoop

# A busy machine must not fail an example for its time; and what failed once fails for everybody alike.
settings.register_profile("gatewayd", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("gatewayd")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"calm": CalmLoop}
