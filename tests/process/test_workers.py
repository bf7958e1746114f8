"""How many workers there are; what becomes of them at a reload is in test_reload, what of their deaths in faults."""

import os

import pytest

from gatewayd.process.workers import _name, worker_count
from tests.process.settings import settings


@pytest.mark.parametrize(("asked", "count"), [("3", 3), ('"auto"', len(os.sched_getaffinity(0)))])
def test_as_many_workers_as_asked_for(asked: str, count: int) -> None:
    assert worker_count(settings(f"workers = {asked}")) == count


def test_one_alone_has_no_number() -> None:
    assert [_name(0, 1), _name(0, 2), _name(1, 2)] == ["worker", "worker 1", "worker 2"]
