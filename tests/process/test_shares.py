"""Each worker's part of a limit over all of them."""

import pytest

from gatewayd.process.shares import share_of
from tests.process.settings import settings


@pytest.mark.parametrize(
    ("most", "workers", "share"), [(100, 1, 100), (100, 4, 25), (10, 4, 2), (2, 4, 1)], ids=lambda each: str(each)
)
def test_connections_are_shared_out_and_every_worker_may_have_one(most: int, workers: int, share: int) -> None:
    whole = settings(f"max_connections = {most}")
    found = share_of(whole, workers)
    assert (found.server.max_connections, found.server.workers) == (share, workers)
    assert share == 1 or workers * share <= most
    assert whole.server.max_connections == most
