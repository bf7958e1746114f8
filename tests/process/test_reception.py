"""Where operators are served; that their process moves with a reload is in test_reload."""

import socket
from dataclasses import replace

import pytest

from gatewayd.clock import SystemClock
from gatewayd.config.addresses import address
from gatewayd.config.settings import Settings
from gatewayd.errors import StartError
from gatewayd.process.crew import Crew
from gatewayd.process.reactor import Reactor
from gatewayd.process.reception import Reception
from tests.process.settings import settings


class Hall:
    """A reception whose process is never made."""

    def __init__(self) -> None:
        clock = SystemClock()
        self.reactor = Reactor(clock)
        self.reception = Reception(Crew(self.reactor, clock, lambda _: None, lambda _: None), clock, {})

    def close(self) -> None:
        self.reception.close()
        self.reactor.close()


def elsewhere(whole: Settings, where: str) -> Settings:
    return replace(whole, admin=replace(whole.admin, listen=address(where)))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def test_the_same_address_is_no_move() -> None:
    hall = Hall()
    hall.reception.listen(settings())
    assert hall.reception.prepare(settings()) is None
    hall.close()


def test_a_move_that_is_discarded_leaves_the_new_place_free() -> None:
    hall, port = Hall(), free_port()
    hall.reception.listen(settings())
    before = hall.reception.address
    moved = hall.reception.prepare(elsewhere(settings(), f"127.0.0.1:{port}"))
    assert moved is not None
    assert moved.address == f"http://127.0.0.1:{port}"
    hall.reception.discard(moved)
    assert hall.reception.address == before
    socket.create_server(("127.0.0.1", port)).close()
    hall.close()


def test_a_place_that_cannot_be_had_is_refused_at_a_reload_and_only_noted_at_the_start() -> None:
    hall = Hall()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        there = elsewhere(settings(), f"127.0.0.1:{taken.getsockname()[1]}")
        hall.reception.listen(there)
        assert hall.reception.address is None
        hall.close()
        hall = Hall()
        hall.reception.listen(settings())
        with pytest.raises(StartError, match=r"or change admin\.listen$"):
            hall.reception.prepare(there)
    hall.close()


def test_a_child_lets_go_of_both_places() -> None:
    hall = Hall()
    hall.reception.listen(settings())
    moved = hall.reception.prepare(elsewhere(settings(), f"127.0.0.1:{free_port()}"))
    assert moved is not None
    kept = moved.sockets
    hall.reception.close_but(kept)
    assert all(each.fileno() != -1 for each in kept)
    hall.reception.close_but(())
    assert all(each.fileno() == -1 for each in kept)
    hall.close()
