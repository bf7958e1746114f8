"""Sockets to listen on: bound here, or inherited from systemd by name."""

import errno
import os
import socket
import stat
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from gatewayd.config.settings import Address
from gatewayd.errors import StartError

BACKLOG: Final = 4096
_FIRST_PASSED_FD: Final = 3  # sd_listen_fds(3)


def listen_all(addresses: Iterable[Address], environ: Mapping[str, str], stack: ExitStack) -> list[socket.socket]:
    """A listening socket for each address, or none and StartError; `stack` closes them."""
    return [stack.enter_context(listen(address, environ)) for address in addresses]


def listen(address: Address, environ: Mapping[str, str]) -> socket.socket:
    """Raises StartError with one line that names the address and the way out."""
    try:
        if address.kind == "systemd":
            return _passed(address.path, environ)
        return _unix(address.path) if address.kind == "unix" else _tcp(address)
    except OSError as error:
        raise StartError(f"cannot listen on {address}: {_reason(error)}") from None


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the address is in use; stop what listens there or change server.listen"
    return f"{error.strerror or error}; change server.listen"


def _tcp(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    info = socket.getaddrinfo(address.host or None, address.port, family, socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(info[0][4])
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _unix(path: str) -> socket.socket:
    clear_stale_socket(Path(path))
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(path)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def clear_stale_socket(path: Path) -> None:
    """Remove a socket file that nobody listens on any more. Raises OSError (EADDRINUSE) if somebody does."""
    if not path.exists():
        return
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise OSError(errno.EEXIST, f"{path} exists and is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        else:
            raise OSError(errno.EADDRINUSE, "in use")


def _passed(name: str, environ: Mapping[str, str]) -> socket.socket:
    """The socket of this name among those that systemd passed (sd_listen_fds_with_names(3))."""
    if environ.get("LISTEN_PID") != str(os.getpid()):
        raise StartError(f"cannot listen on systemd:{name}: no sockets were passed; start by socket activation")
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    if name not in names:
        raise StartError(f"cannot listen on systemd:{name}: the sockets passed are {', '.join(names)}")
    sock = socket.socket(fileno=_FIRST_PASSED_FD + names.index(name))
    sock.setblocking(False)
    return sock
