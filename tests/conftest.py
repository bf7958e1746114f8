"""What every test may ask for."""

import pytest
from hypothesis import settings

from tests.clocks import ManualClock

# A busy machine must not fail an example for its time; and what failed once fails for everybody alike.
settings.register_profile("gatewayd", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("gatewayd")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
