"""The operators' process as its supervisor sees it: where it listens, and that another takes its place at a reload."""

import socket
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gatewayd.clock import Clock
from gatewayd.config.settings import Settings
from gatewayd.process.crew import Crew
from gatewayd.process.hired import Child, Job
from gatewayd.process.listen import listen_all, names_of
from gatewayd.process.operators import listen_for_operators, show_operators


@dataclass(frozen=True, slots=True)
class Counter:
    """Where operators are served, with what closes it."""

    sockets: Sequence[socket.socket]
    address: str | None
    closing: ExitStack


class Reception:
    """Mutable: a reload may move it."""

    def __init__(self, crew: Crew, clock: Clock, environ: Mapping[str, str]) -> None:
        self._crew = crew
        self._clock = clock
        self._environ = environ
        self._control = Path()
        self._settings: Settings | None = None
        self._counter: Counter | None = None
        self._moved: Counter | None = None
        self.children: list[Child] = []

    @property
    def address(self) -> str | None:
        """Where it is, if it could be opened."""
        return self._counter.address if self._counter is not None else None

    @property
    def sockets(self) -> Sequence[socket.socket]:
        return self._counter.sockets if self._counter is not None else ()

    def listen(self, settings: Settings, known: Sequence[socket.socket] = ()) -> None:
        """Before anybody is served; callers come first, so that it cannot be is no reason not to start.

        `known` listen already, for the address that was configured last.
        """
        closing = ExitStack()
        if known:
            for sock in known:
                closing.enter_context(sock)
            self._settings, self._counter = settings, Counter(known, names_of(known, None)[0], closing)
            return
        sockets, address = listen_for_operators(settings, self._environ, closing)
        self._settings, self._counter = settings, Counter(sockets, address, closing)

    def start(self, control: Path) -> None:
        """Nobody waits for it: its sockets listen already. It asks its supervisor at `control`. Raises StartError."""
        self._control = control
        assert self._counter is not None
        if self._counter.sockets:
            self._hire(self._counter)

    def _hire(self, counter: Counter) -> None:
        assert self._settings is not None
        work = partial(
            show_operators,
            settings=self._settings,
            clock=self._clock,
            sockets=counter.sockets,
            control=self._control,
        )
        self.children.append(self._crew.hire("operators", Job(work, counter.sockets), awaited=False))

    def prepare(self, settings: Settings) -> Counter | None:
        """Where it is to be; None where it is. Raises StartError if that cannot be."""
        before = self._settings
        if before is not None and before.admin.listen == settings.admin.listen:
            return None
        with ExitStack() as stack:
            sockets = listen_all([settings.admin.listen], self._environ, stack, key="admin.listen")
            self._moved = Counter(sockets, names_of(sockets, None)[0], stack.pop_all())
        return self._moved

    def commit(self, settings: Settings, moved: Counter | None) -> None:
        """Have another process, with these settings, take the place of the one that was. Raises StartError."""
        before, old, leaving = self._settings, self._counter, self.children
        assert before is not None
        assert old is not None
        self._settings, self._counter, self._moved = settings, moved or old, None
        if moved is None and (before.admin, before.server) == (settings.admin, settings.server):
            return
        if moved is not None:
            old.closing.close()
        self.children = []
        if self._counter.sockets:
            self._hire(self._counter)
        self._crew.retire(leaving)
        self._crew.tell(leaving, "end")

    def discard(self, moved: Counter | None) -> None:
        """Stay."""
        self._moved = None
        if moved is not None:
            moved.closing.close()

    def close(self) -> None:
        if self._counter is not None:
            self._counter.closing.close()

    def close_but(self, kept: Collection[socket.socket]) -> None:
        """In a child that is not the operators' own: let go."""
        for counter in (self._counter, self._moved):
            for each in counter.sockets if counter is not None else ():
                if each not in kept:
                    each.close()
