"""The sockets of all addresses, over reloads; whole daemons are in test_reload."""

import socket
from collections.abc import Iterator

import pytest

from gatewayd.config.addresses import address
from gatewayd.config.settings import Address
from gatewayd.errors import StartError
from gatewayd.process.listeners import Listeners, share_out

PORT, OTHER = address("127.0.0.1:0"), address("127.0.0.2:0")


@pytest.fixture
def listeners() -> Iterator[Listeners]:
    listeners = Listeners({})
    yield listeners
    listeners.close()


def adopted(listeners: Listeners, addresses: list[Address], workers: int) -> list[list[int]]:
    """The numbers of each worker's doors."""
    proposal = listeners.propose(addresses, workers)
    listeners.adopt(proposal)
    return [[each.number for each in share] for share in share_out(listeners.table, workers)]


def test_each_worker_has_a_socket_of_a_port(listeners: Listeners) -> None:
    assert adopted(listeners, [PORT], 3) == [[1], [2], [3]]
    assert len({each.sock.getsockname() for each in listeners}) == 1
    assert listeners.places == [next(iter(listeners)).sock]


def test_with_fewer_workers_no_socket_is_closed_and_with_more_some_are_added(listeners: Listeners) -> None:
    adopted(listeners, [PORT], 3)
    assert adopted(listeners, [PORT], 2) == [[1, 3], [2]]
    assert adopted(listeners, [PORT], 4) == [[1], [2], [3], [4]]
    assert len({each.sock.getsockname() for each in listeners}) == 1


def test_what_was_proposed_and_discarded_is_free_again(listeners: Listeners) -> None:
    adopted(listeners, [PORT], 1)
    before = list(listeners)
    proposal = listeners.propose([PORT, OTHER], 2)
    place = proposal.fresh[-1].sock.getsockname()
    listeners.discard(proposal)
    assert list(listeners) == before
    socket.create_server(place).close()


def test_what_is_not_listened_on_any_more_is_closed(listeners: Listeners) -> None:
    adopted(listeners, [PORT, OTHER], 2)
    gone = next(each for each in listeners if each.address == PORT).sock
    place = gone.getsockname()
    assert adopted(listeners, [OTHER], 2) == [[3], [4]]
    assert gone.fileno() == -1
    socket.create_server(place).close()


def test_if_one_address_cannot_be_had_none_is_kept(listeners: Listeners) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            free = probe.getsockname()[1]
        with pytest.raises(StartError, match="the address is in use"):
            listeners.propose([address(f"127.0.0.1:{free}"), address(f"127.0.0.1:{taken.getsockname()[1]}")], 2)
    socket.create_server(("127.0.0.1", free)).close()


def test_a_child_lets_go_of_all_but_its_own_those_only_proposed_included(listeners: Listeners) -> None:
    adopted(listeners, [PORT], 2)
    proposal = listeners.propose([PORT, OTHER], 2)
    first, second = list(listeners)
    listeners.close_but([first.sock])
    assert first.sock.fileno() != -1
    assert {each.sock.fileno() for each in (second, *proposal.fresh)} == {-1}


def test_only_systemds_sockets_have_an_heir(listeners: Listeners) -> None:
    adopted(listeners, [PORT], 1)
    assert not any(each.door.has_heir for each in listeners)
