"""A daemon's status, made of what its workers say."""

import os

from gatewayd.process.status import Circumstances, describe
from tests.process.settings import settings

SERVING = Circumstances(state="serving", uptime=1.23456, listening=["a"], admin=None, ledger={"up": True})
ONE = {"connections": 2, "in_flight": 1, "generation": 3, "running_by_generation": {"3": 1}, "accounts": 5}
OTHER = {"connections": 4, "in_flight": 3, "generation": 4, "running_by_generation": {"3": 1, "4": 2}, "accounts": 4}


def test_what_workers_count_is_added_up_and_what_all_know_is_said_by_the_newest() -> None:
    found = describe(settings(), SERVING, [ONE, OTHER])
    assert (found["connections"], found["in_flight"]) == (6, 4)
    assert found["running_by_generation"] == {"3": 2, "4": 2}
    assert (found["generation"], found["accounts"]) == (4, 5)
    assert found["workers"] == [ONE, OTHER]


def test_a_worker_that_says_nothing_adds_nothing() -> None:
    found, alone = describe(settings(), SERVING, [ONE, {}]), describe(settings(), SERVING, [ONE])
    assert found | {"workers": []} == alone | {"workers": []}


def test_without_workers_all_is_nothing_and_the_daemon_is_described_all_the_same() -> None:
    found = describe(settings(), SERVING, [])
    assert (found["connections"], found["generation"], found["running_by_generation"]) == (0, 0, {})
    assert (found["pid"], found["state"], found["uptime_seconds"]) == (os.getpid(), "serving", 1.235)
    assert (found["routes"], found["ledger"]) == (["a"], {"up": True})
