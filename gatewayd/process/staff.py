"""Everybody who works for a supervisor, with the sockets and the memory that outlive any one of them."""

import socket
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, Final

from gatewayd.admin.sightings import merged
from gatewayd.clock import Clock
from gatewayd.errors import StartError
from gatewayd.metrics import Tally
from gatewayd.process.bookkeeping import keep_books, listen_for_books
from gatewayd.process.child import Run
from gatewayd.process.control import socket_path
from gatewayd.process.course import Course
from gatewayd.process.crew import Crew
from gatewayd.process.handover import Handover, listening
from gatewayd.process.hired import Child, Job
from gatewayd.process.listen import names_of
from gatewayd.process.listeners import Listeners
from gatewayd.process.reactor import Reactor
from gatewayd.process.reception import Reception
from gatewayd.process.workers import Workers
from gatewayd.stores.shared.memory import SharedMemory

_END_PATIENCE: Final = 6.0  # seconds that a child gets to end when it has nothing to do any more


class Staff:
    """Mutable: they come and go, and what the dead have counted stays."""

    def __init__(self, reactor: Reactor, course: Course, clock: Clock, environ: Mapping[str, str], run: Run) -> None:
        """`run` runs a child's coroutine in an event loop."""
        self._reactor = reactor
        self._course = course
        self._clock = clock
        self.crew = Crew(reactor, clock, run, self._buried, self._forget)
        self.listeners = Listeners(environ)
        self.workers = Workers(reactor, self.crew, clock, self.listeners, self.await_ready)
        self.reception = Reception(self.crew, clock, environ)
        self.bookkeeper: list[Child] = []
        self.departed = Tally()
        """What those have counted who are gone."""
        self.gone: Mapping[str, Any] = {}
        """What those have sighted who are gone."""
        self._books: socket.socket | None = None
        self._memory: SharedMemory | None = None

    @property
    def books(self) -> socket.socket:
        """Where workers reach the bookkeeper, once it is open."""
        assert self._books is not None
        return self._books

    @property
    def memory(self) -> SharedMemory:
        """Where workers count together, once it is open."""
        assert self._memory is not None
        return self._memory

    def open(self, stack: ExitStack, left: Handover | None) -> None:
        """Have what all of them need, and let `stack` end them and close it. Raises StartError.

        What an older program of this process `left` is used where it is.
        """
        stack.callback(self.listeners.close)
        stack.callback(self.reception.close)
        self._memory = SharedMemory.taken_over(left.counters) if left is not None else SharedMemory.create()
        stack.callback(self._memory.close)
        known = listening(left.books) if left is not None else None
        self._books = listen_for_books(self._course.settings.server.state_dir, stack, known)
        stack.callback(self._end_all)

    def start(self) -> None:
        """The first of them; workers serve when this returns. Raises StartError."""
        settings = self._course.settings
        self.reception.listen(settings)
        self.start_bookkeeper()
        self.workers.start(settings, self._course.generation, self.memory)
        self.reception.start(socket_path(settings.server.state_dir))

    def start_bookkeeper(self) -> None:
        """It keeps its settings for life. Raises StartError if it cannot use its ledger."""
        work = partial(keep_books, settings=self._course.settings, clock=self._clock, sock=self.books)
        self.bookkeeper.append(self.crew.hire("bookkeeper", Job(work, [self.books])))
        self.await_ready(self.bookkeeper)

    def await_ready(self, children: Sequence[Child]) -> None:
        """Raises StartError with the words of the first that fails; a stop ends the wait."""
        course = self._course

        def settled() -> bool:
            return course.stops > 0 or any(not each.alive for each in children) or all(each.ready for each in children)

        self._reactor.until(settled)
        for child in children:
            if not child.alive and not course.stops:
                raise StartError(child.failure)

    def note_addresses(self) -> None:
        """What callers connect to may have become another."""
        self._course.listening = names_of(self.listeners.places, self._course.settings.server.tls)

    def await_end(self, children: Sequence[Child]) -> None:
        """They were told to; who does not is killed."""

        def ended() -> bool:
            return not any(each.alive for each in children)

        if not self._reactor.until(ended, _END_PATIENCE):
            self.crew.kill(children)
            self._reactor.until(ended)

    def _end_all(self) -> None:
        """The bookkeeper outlives the workers, whose last records it takes; operators see it to the end."""
        for children in (self.workers.all, self.bookkeeper, self.reception.children):
            self.crew.tell(children, "end")
            self.await_end(children)

    def _buried(self, child: Child) -> None:
        """The numbers of the dead still count."""
        self.departed.add(Tally.of([child.last.get("metrics", {})]).lasting())
        if (sheet := self.workers.buried(child)) is not None:
            self.departed.add(Tally.of([sheet.samples()]).lasting())
        self.gone = {**merged([self.gone, child.last.get("sightings", {})]), "in_flight": {}}

    def _forget(self, kept: Collection[socket.socket]) -> None:
        """In a child: what is not its job is closed, or it would stay open for as long as the child lives."""
        self.listeners.close_but(kept)
        self.reception.close_but(kept)
        if self._books is not None and self._books not in kept:
            self._books.close()
