"""What every test may ask for."""

import pytest

from tests.clocks import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
