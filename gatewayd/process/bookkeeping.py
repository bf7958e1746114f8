"""The bookkeeper in a daemon: where workers find it, and its life as a process of its own."""

import gc
import os
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from gatewayd.books.bookkeeper import Bookkeeper
from gatewayd.clock import Clock
from gatewayd.config.settings import Settings
from gatewayd.errors import StartError
from gatewayd.metrics.families import DRIFT, PENDING, level
from gatewayd.process.child import Link
from gatewayd.process.listen import clear_stale_socket

_BACKLOG: Final = 1024
COLLECT_AFTER: Final = 100_000
"""Objects alive beyond those of the last collection before the collector looks for cycles in the bookkeeper.

A record has some eight until it is posted, which are gone without it then; thousands gather. By Python's own threshold
(700) it looked at each of them in vain, for a quarter of the bookkeeper's time; after 20,000, for a tenth.
"""


def books_path(state_dir: Path) -> Path:
    """Where the bookkeeper of this state directory listens."""
    return state_dir / "books.sock"


def listen_for_books(state_dir: Path, stack: ExitStack, known: socket.socket | None = None) -> socket.socket:
    """The bookkeeper's socket, for this user alone; it outlives any one bookkeeper. Raises StartError.

    `known` listens there already.
    """
    path = books_path(state_dir)
    if known is not None:
        stack.enter_context(known)
        stack.callback(path.unlink, missing_ok=True)
        return known
    sock = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    try:
        clear_stale_socket(path)
        bind_privately(sock, path)
    except OSError as error:
        raise StartError(f"cannot listen for workers on {path}: {error.strerror or error}") from None
    stack.callback(path.unlink, missing_ok=True)
    sock.listen(_BACKLOG)
    sock.setblocking(False)
    return sock


def bind_privately(sock: socket.socket, path: Path) -> None:
    """Nobody but this user may connect, from the first moment on."""
    before = os.umask(0o177)
    try:
        sock.bind(str(path))
    finally:
        os.umask(before)


def counted(status: Mapping[str, Any]) -> dict[str, Any]:
    """What a bookkeeper's status says, as samples for metrics."""
    return {"gauges": level(PENDING, status["pending"]) | level(DRIFT, status["drift"])}


def collect_seldom(after: int = COLLECT_AFTER) -> None:
    """For a process whose objects hardly ever form cycles: let the collector look after so many."""
    gc.set_threshold(after, *gc.get_threshold()[1:])


async def keep_books(link: Link, settings: Settings, clock: Clock, sock: socket.socket) -> None:
    """The bookkeeper's whole life as a child. Raises StoreError for a ledger that cannot be used."""
    collect_seldom()
    books = Bookkeeper(settings, clock)

    async def status() -> Mapping[str, Any]:
        return books.status()

    async def metrics() -> Mapping[str, Any]:
        return counted(books.status())

    await books.start(sock)
    link.answers |= {"status": status, "metrics": metrics}
    link.ready()
    await link.ending.wait()
    await books.close()
