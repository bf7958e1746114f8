"""Sockets to listen on: bound here, or inherited from systemd by name."""

import errno
import os
import socket
import stat
from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from gatewayd.config.settings import Address, Tls
from gatewayd.errors import StartError

BACKLOG: Final = 4096
_FIRST_PASSED_FD: Final = 3  # sd_listen_fds(3)


def listen_all(
    addresses: Iterable[Address], environ: Mapping[str, str], stack: ExitStack, *, key: str = "server.listen"
) -> list[socket.socket]:
    """The listening sockets of all addresses, or none and StartError, which names `key`; `stack` closes them."""
    return [sock for address in dict.fromkeys(addresses) for sock in _listen(address, environ, stack, key)]


def spread(
    address: Address, count: int, environ: Mapping[str, str], stack: ExitStack, *, ours: Collection[int] = ()
) -> list[socket.socket]:
    """The sockets of an address for so many workers: on a TCP port one for each of them, else what all share.

    Among the sockets of a port the kernel shares out callers (socket(7), SO_REUSEPORT). Raises StartError if anybody
    else listens there, even if they would share it; `ours` are ports on which this daemon itself listens already.
    """
    if address.kind != "tcp":
        return _listen(address, environ, stack, "server.listen")
    if not count:
        return []
    there = address
    if address.port not in ours:
        with ExitStack() as probe:
            (alone,) = _listen(address, {}, probe, "server.listen")
            there = Address("tcp", *alone.getsockname()[:2])
    try:
        return [_tcp(there, stack, shared=True) for _ in range(count)]
    except OSError as error:
        raise StartError(f"cannot listen on {address}: {_reason(error, 'server.listen')}") from None


def _listen(address: Address, environ: Mapping[str, str], stack: ExitStack, key: str) -> list[socket.socket]:
    """Raises StartError with one line that names the address and the way out."""
    try:
        if address.kind == "systemd":
            return [stack.enter_context(sock) for sock in _passed(address.path, environ)]
        return [_unix(address.path, stack) if address.kind == "unix" else _tcp(address, stack)]
    except OSError as error:
        raise StartError(f"cannot listen on {address}: {_reason(error, key)}") from None


def _reason(error: OSError, key: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"the address is in use; stop what listens there or change {key}"
    return f"{error.strerror or error}; change {key}"


def _tcp(address: Address, stack: ExitStack, *, shared: bool = False) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    info = socket.getaddrinfo(address.host, address.port, family, socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sock = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind(info[0][4])
    return _listening(sock)


def _unix(path: str, stack: ExitStack) -> socket.socket:
    """Open to every local user, as a port on the loopback address is; tokens say who may come in."""
    clear_stale_socket(Path(path))
    sock = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    sock.bind(path)
    stack.callback(remove_socket, Path(path), Path(path).stat().st_ino)
    Path(path).chmod(0o666)
    return _listening(sock)


def remove_socket(path: Path, inode: int) -> None:
    """Remove our socket's file, but not that of a successor who has put its own there."""
    if path.exists() and path.stat().st_ino == inode:
        path.unlink()


def _listening(sock: socket.socket) -> socket.socket:
    sock.listen(BACKLOG)
    sock.setblocking(False)
    return sock


def clear_stale_socket(path: Path) -> None:
    """Remove a socket file that nobody listens on any more. Raises OSError (EADDRINUSE) if somebody does."""
    if not path.exists():
        return
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise FileExistsError(errno.EEXIST, "the file exists and is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:  # somebody listens and has a full backlog
            pass
    raise OSError(errno.EADDRINUSE, "in use")


def _passed(name: str, environ: Mapping[str, str]) -> list[socket.socket]:
    """The sockets of this name among those that systemd passed (sd_listen_fds_with_names(3))."""
    if environ.get("LISTEN_PID") != str(os.getpid()) or not environ.get("LISTEN_FDS", "").isdecimal():
        raise StartError(f"cannot listen on systemd:{name}: no sockets were passed; start by socket activation")
    names = environ.get("LISTEN_FDNAMES", "").split(":")[: int(environ["LISTEN_FDS"])]
    if name not in names:
        passed = ", ".join(filter(None, names)) or "without names"
        raise StartError(
            f"cannot listen on systemd:{name}: the sockets passed are {passed}; see FileDescriptorName= in their unit"
        )
    return [_adopted(_FIRST_PASSED_FD + index) for index, known in enumerate(names) if known == name]


def _adopted(fd: int) -> socket.socket:
    sock = socket.socket(fileno=fd)
    sock.set_inheritable(False)
    if sock.type != socket.SOCK_STREAM or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.close()
        raise OSError(errno.EINVAL, "it is not a stream socket that listens (ListenStream=, Accept=no)")
    sock.setblocking(False)
    return sock


def name_of(address: Any, scheme: str) -> str:
    """A bound socket's address as people write it; `scheme` is http or https."""
    if isinstance(address, tuple):
        host, port = address[:2]
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
    return f"unix:{address}"


def names_of(sockets: Iterable[socket.socket], tls: Tls | None) -> tuple[str, ...]:
    """The addresses of sockets that listen, for callers who come with TLS or without."""
    return tuple(name_of(sock.getsockname(), "https" if tls is not None else "http") for sock in sockets)
