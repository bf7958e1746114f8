"""The sockets that a daemon listens on for callers, kept by its supervisor over reloads and the deaths of workers."""

import itertools
import socket
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gatewayd.config.settings import Address
from gatewayd.process.entrance import Door
from gatewayd.process.listen import remove_socket, spread


@dataclass(frozen=True, slots=True, eq=False)
class Listener:
    """One of the sockets of an address, which are closed together."""

    address: Address
    door: Door
    closing: ExitStack = field(default_factory=ExitStack)

    @property
    def number(self) -> int:
        return self.door.number

    @property
    def sock(self) -> socket.socket:
        return self.door.sock


Table = Mapping[Address, Sequence[Listener]]


@dataclass(frozen=True, slots=True)
class Proposal:
    """What would be listened on: `table` as a whole, `fresh` what was opened for it."""

    table: Table
    fresh: Sequence[Listener]


class Listeners:
    """Mutable: a reload adopts another table. A port that was spread over many workers stays so over fewer, and each
    of them takes callers from several sockets: closing one would reset those who wait in its queue.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._numbers = itertools.count(1)
        self._open: list[Listener] = []
        self.table: Table = {}

    def handed_over(self) -> list[dict[str, Any]]:
        """Each with its address, for the program that this process becomes."""
        return [
            {
                "fd": each.sock.fileno(),
                "kind": each.address.kind,
                "host": each.address.host,
                "port": each.address.port,
                "path": each.address.path,
            }
            for each in self
        ]

    def take_over(self, parts: Sequence[Mapping[str, Any]]) -> None:
        """Those that another program of this process had."""
        table: dict[Address, list[Listener]] = {}
        for each in parts:
            address = Address(each["kind"], each["host"], each["port"], each["path"])
            sock = socket.socket(fileno=each["fd"])
            sock.setblocking(False)
            known = table.setdefault(address, [])
            closing = known[0].closing if known else ExitStack()
            closing.enter_context(sock)
            if address.kind == "unix":
                closing.callback(remove_socket, Path(address.path), Path(address.path).stat().st_ino)
            known.append(Listener(address, Door(next(self._numbers), sock, address.kind == "systemd"), closing))
        self.table = table
        self._open = list(self)

    def propose(self, addresses: Sequence[Address], workers: int) -> Proposal:
        """Open what is missing for these addresses and so many workers. Raises StartError, and has opened nothing."""
        fresh: list[Listener] = []
        table: dict[Address, Sequence[Listener]] = {}
        with ExitStack() as undo:
            for address in dict.fromkeys(addresses):
                more = self._more(address, workers, undo)
                fresh += more
                table[address] = [*self.table.get(address, ()), *more]
            undo.pop_all()
        self._open += fresh
        return Proposal(table, fresh)

    def _more(self, address: Address, workers: int, undo: ExitStack) -> list[Listener]:
        known, is_port = self.table.get(address, ()), address.kind == "tcp"
        if known and not is_port:
            return []
        there = Address("tcp", *known[0].sock.getsockname()[:2]) if known else address
        ours = {each.sock.getsockname()[1] for each in self if each.address.kind == "tcp"}
        with ExitStack() as stack:
            sockets = spread(there, max(0, workers - len(known)), self._environ, stack, ours=ours)
            closing = stack.pop_all()
        undo.callback(closing.close)
        doors = (Door(next(self._numbers), sock, has_heir=address.kind == "systemd") for sock in sockets)
        return [Listener(address, door, closing) for door in doors]

    def adopt(self, proposal: Proposal) -> None:
        """Go by it from now on, and close what is not in it."""
        kept = {each.number for listeners in proposal.table.values() for each in listeners}
        self.table = proposal.table
        self._close([each for each in self._open if each.number not in kept])

    def discard(self, proposal: Proposal) -> None:
        """Close what was opened for it."""
        self._close(proposal.fresh)

    def _close(self, gone: Sequence[Listener]) -> None:
        for each in gone:
            self._open.remove(each)
            each.closing.close()

    @property
    def places(self) -> list[socket.socket]:
        """A socket for each place where callers may come."""
        shown = (each[:1] if address.kind == "tcp" else each for address, each in self.table.items())
        return [listener.sock for listeners in shown for listener in listeners]

    def __iter__(self) -> Iterator[Listener]:
        for listeners in self.table.values():
            yield from listeners

    def close(self) -> None:
        self.adopt(Proposal({}, ()))

    def close_but(self, kept: Collection[socket.socket]) -> None:
        """In a child: let go of what it does not listen on, or a port that is given up would stay open in it."""
        for each in self._open:
            if each.sock not in kept:
                each.sock.close()


def share_out(table: Table, workers: int) -> list[list[Listener]]:
    """For each of so many workers what it takes callers from: its part of a port, and all of everything else."""
    shares: list[list[Listener]] = [[] for _ in range(workers)]
    for address, listeners in table.items():
        for index, share in enumerate(shares):
            share.extend(listeners[index::workers] if address.kind == "tcp" else listeners)
    return shares
