"""Sockets to listen on, bound or passed."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gatewayd.config.addresses import address
from gatewayd.errors import StartError
from gatewayd.process import listen as module
from gatewayd.process.listen import clear_stale_socket, listen_all, name_of


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize("where", ["127.0.0.1:0", "[::1]:0", "localhost:0"])
def test_a_port_takes_callers_at_once(stack: ExitStack, where: str) -> None:
    (sock,) = listen_all([address(where)], {}, stack)
    with socket.create_connection(sock.getsockname()[:2]):
        sock.accept()[0].close()
    assert not sock.getblocking()


def test_an_ipv6_port_leaves_the_ipv4_port_of_its_number_alone(stack: ExitStack) -> None:
    (six,) = listen_all([address("[::]:0")], {}, stack)
    (four,) = listen_all([address(f"0.0.0.0:{six.getsockname()[1]}")], {}, stack)
    assert four.getsockname()[1] == six.getsockname()[1]


def test_an_address_named_twice_is_listened_on_once(stack: ExitStack) -> None:
    assert len(listen_all([address("127.0.0.1:0"), address("127.0.0.1:0")], {}, stack)) == 1


def test_when_one_cannot_be_had_none_is_kept() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, socket.create_server(("127.0.0.1", 0)) as probe:
        free = probe.getsockname()[1]
        probe.close()
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        refused = pytest.raises(StartError, match=f"^cannot listen on {taken}: the address is in use; stop what ")
        with refused, ExitStack() as stack:
            listen_all([address(f"127.0.0.1:{free}"), address(taken)], {}, stack)
        socket.create_server(("127.0.0.1", free)).close()


def test_the_key_to_change_is_the_one_that_named_the_address(stack: ExitStack) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = address(f"127.0.0.1:{other.getsockname()[1]}")
        with pytest.raises(StartError, match=r"or change admin\.listen$"):
            listen_all([taken], {}, stack, key="admin.listen")


def test_a_socket_file_is_there_for_everybody_while_it_is_listened_on(tmp_path: Path) -> None:
    path = tmp_path / "public.sock"
    with ExitStack() as stack:
        (sock,) = listen_all([address(f"unix:{path}")], {}, stack)
        assert path.stat().st_mode & 0o777 == 0o666
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(str(path))
            sock.accept()[0].close()
    assert not path.exists()


def test_a_successors_socket_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "public.sock"
    with ExitStack() as stack:
        listen_all([address(f"unix:{path}")], {}, stack)
        path.rename(tmp_path / "old")  # its inode stays taken
        with socket.socket(socket.AF_UNIX) as successor:
            successor.bind(str(path))
    assert path.is_socket()


def test_a_stale_socket_file_is_replaced_and_a_live_one_is_not(tmp_path: Path, stack: ExitStack) -> None:
    path = tmp_path / "public.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    listen_all([address(f"unix:{path}")], {}, stack)
    with pytest.raises(StartError, match=f"^cannot listen on unix:{path}: the address is in use"):
        listen_all([address(f"unix:{path}")], {}, stack)


def test_a_listener_too_busy_to_accept_is_alive(tmp_path: Path, stack: ExitStack) -> None:
    path = tmp_path / "public.sock"
    busy = stack.enter_context(socket.socket(socket.AF_UNIX))
    busy.bind(str(path))
    busy.listen(0)
    while True:
        caller = stack.enter_context(socket.socket(socket.AF_UNIX))
        caller.setblocking(False)
        if caller.connect_ex(str(path)):
            break
    with pytest.raises(OSError, match="in use"):
        clear_stale_socket(path)
    assert path.exists()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        pytest.param("file", "the file exists and is not a socket; change server.listen", id="a file"),
        pytest.param("none/public.sock", "No such file or directory; change server.listen", id="no directory"),
    ],
)
def test_a_path_that_cannot_be_a_socket_is_named(tmp_path: Path, stack: ExitStack, path: str, reason: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StartError, match=f"^cannot listen on unix:{tmp_path}/{path}: {reason}$"):
        listen_all([address(f"unix:{tmp_path}/{path}")], {}, stack)
    assert (tmp_path / "file").read_text() == "mine"


# A whole start by socket activation is in test_daemon; here, in this process, 3 is taken by others.


def passed(monkeypatch: pytest.MonkeyPatch, sock: socket.socket, **environ: str) -> dict[str, str]:
    fd = os.dup(sock.fileno())
    os.set_inheritable(fd, True)
    monkeypatch.setattr(module, "_FIRST_PASSED_FD", fd)
    return {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "public"} | environ


def test_a_passed_socket_is_taken_by_its_name_and_not_inherited(
    monkeypatch: pytest.MonkeyPatch, stack: ExitStack
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as systemd:
        (sock,) = listen_all([address("systemd:public")], passed(monkeypatch, systemd), stack)
        assert sock.getsockname() == systemd.getsockname()
        assert not sock.get_inheritable()
        assert not sock.getblocking()


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        pytest.param({"LISTEN_PID": "1"}, "no sockets were passed; start by socket activation", id="another's"),
        pytest.param({"LISTEN_FDS": ""}, "no sockets were passed; start by socket activation", id="no number"),
        pytest.param({"LISTEN_FDNAMES": "a"}, "the sockets passed are a; see FileDescriptorName=", id="another name"),
        pytest.param({"LISTEN_FDNAMES": ""}, "the sockets passed are without names", id="no names"),
        pytest.param({"LISTEN_FDNAMES": "a:public"}, "the sockets passed are a;", id="a name too many"),
    ],
)
def test_without_a_passed_socket_of_the_name_the_way_out_is_told(
    monkeypatch: pytest.MonkeyPatch, stack: ExitStack, environ: dict[str, str], reason: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as systemd:
        environ = passed(monkeypatch, systemd, **environ)
        with pytest.raises(StartError, match=f"^cannot listen on systemd:public: {reason}"):
            listen_all([address("systemd:public")], environ, stack)
        os.close(module._FIRST_PASSED_FD)


@pytest.mark.parametrize("kind", ["connected", "datagram", "no socket"])
def test_what_was_passed_must_be_a_socket_that_listens(
    monkeypatch: pytest.MonkeyPatch, stack: ExitStack, tmp_path: Path, kind: str
) -> None:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM if kind == "datagram" else socket.SOCK_STREAM)
    environ = passed(monkeypatch, one)
    if kind == "no socket":
        with (tmp_path / "file").open("w") as file:
            os.dup2(file.fileno(), module._FIRST_PASSED_FD)
    with one, other, pytest.raises(StartError, match=r"^cannot listen on systemd:public: .+; change server.listen$"):
        listen_all([address("systemd:public")], environ, stack)
    if kind == "no socket":
        os.close(module._FIRST_PASSED_FD)


@pytest.mark.parametrize(
    ("bound", "name"),
    [
        (("127.0.0.1", 8080), "http://127.0.0.1:8080"),
        (("::1", 8080, 0, 0), "http://[::1]:8080"),
        ("/run/gatewayd.sock", "unix:/run/gatewayd.sock"),
    ],
)
def test_an_address_is_named_as_people_write_it(bound: object, name: str) -> None:
    assert name_of(bound, "http") == name
