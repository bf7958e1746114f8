"""What the service manager hears."""

import socket
from pathlib import Path

import pytest

from gatewayd.process.notify import notify, reloading, serving, watchdog_period
from tests.patience import PATIENCE


@pytest.fixture(params=["file", "abstract"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """Where a manager binds, and what it says of that in the environment."""
    path = f"{tmp_path}/notify"
    return (path, path) if request.param == "file" else (f"\0gatewayd-test{path}@x", f"@gatewayd-test{path}@x")


def test_states_arrive_as_lines_of_one_datagram(place: tuple[str, str]) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(place[0])
        manager.settimeout(PATIENCE)
        notify({"NOTIFY_SOCKET": place[1]}, "READY=1", "STATUS=serving")
        assert manager.recv(100) == b"READY=1\nSTATUS=serving"


def test_a_manager_that_takes_nothing_holds_nobody_up(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"{tmp_path}/notify")
        for _ in range(5_000):  # more than fits into any queue
            notify({"NOTIFY_SOCKET": f"{tmp_path}/notify"}, "WATCHDOG=1")
        assert manager.recv(100) == b"WATCHDOG=1"


@pytest.mark.parametrize("address", [None, "", "vsock:2:1", "relative", "/nowhere/notify"])
def test_where_nobody_listens_nothing_happens(address: str | None) -> None:
    notify({} if address is None else {"NOTIFY_SOCKET": address}, "READY=1")


@pytest.mark.parametrize(
    ("environ", "period"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, None),
        ({"NOTIFY_SOCKET": "/a", "WATCHDOG_USEC": "30000000"}, 15.0),
        ({"NOTIFY_SOCKET": "/a", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"NOTIFY_SOCKET": "/a", "WATCHDOG_USEC": "0"}, None),
        ({"NOTIFY_SOCKET": "/a", "WATCHDOG_USEC": "often"}, None),
    ],
)
def test_a_watchdog_is_fed_twice_as_often_as_it_must_be(environ: dict[str, str], period: float | None) -> None:
    assert watchdog_period(environ) == period


def test_a_reload_is_told_with_the_moment_at_which_it_began() -> None:
    assert reloading(12.5) == ("RELOADING=1", "MONOTONIC_USEC=12500000")


def test_who_serves_says_where() -> None:
    assert serving(["http://127.0.0.1:1", "unix:/a"]) == ("READY=1", "STATUS=serving on http://127.0.0.1:1, unix:/a")
