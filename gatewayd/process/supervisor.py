"""`gatewayd start`: a process without an event loop, which holds the sockets and has children do the work."""

import logging
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

from gatewayd import __version__
from gatewayd.clock import Clock
from gatewayd.config.settings import Settings
from gatewayd.errors import StartError
from gatewayd.metrics import Sheet, Tally
from gatewayd.metrics.families import RELOADED, level
from gatewayd.process.bookkeeping import keep_books, listen_for_books
from gatewayd.process.child import Run
from gatewayd.process.control import socket_path
from gatewayd.process.crew import Answers, Child, Crew
from gatewayd.process.desk import Desk, Reply
from gatewayd.process.listen import listen_for_workers, names_of
from gatewayd.process.notify import notify
from gatewayd.process.operators import listen_for_operators, show_operators
from gatewayd.process.reactor import Reactor, hearing
from gatewayd.process.statedir import occupied
from gatewayd.process.status import Circumstances, describe
from gatewayd.process.worker import serve_callers, share_of
from gatewayd.stores.shared.memory import SharedMemory

logger = logging.getLogger(__name__)

_MARGIN: Final = 5.0  # seconds beyond the drain's deadline after which a worker that is not idle is given up
_END_PATIENCE: Final = 6.0  # seconds that a child gets to end when it has nothing to do any more

Announce = Callable[[str], None]


class Supervisor:
    """A daemon of several processes, until it is told to stop. Mutable: it goes through its life once."""

    def __init__(self, settings: Settings, clock: Clock, environ: Mapping[str, str], run: Run) -> None:
        """`run` runs a child's coroutine in an event loop."""
        self._settings = settings
        self._clock = clock
        self._environ = environ
        self._started = clock.monotonic()
        self._reactor = Reactor(clock)
        self._crew = Crew(self._reactor, clock, run, self._buried)
        self._workers: list[Child] = []
        self._bookkeeper: list[Child] = []
        self._operators: list[Child] = []
        self._sheets: list[Sheet] = []  # what workers count, one a worker: its successors go on on it
        self._departed = Tally()  # what else those have counted who are gone
        self._reload_success = True
        self._state = "starting"
        self._stops = 0
        self._listening: tuple[str, ...] = ()
        self._admin: str | None = None

    def run(self, announce: Announce) -> None:
        """Serve until stopped. Raises StartError before the first connection, or not at all."""
        with ExitStack() as stack:
            stack.callback(self._reactor.close)
            stack.enter_context(hearing(self._reactor, self._signalled))
            self._open(stack)
            if not self._stops:  # a signal may have come first
                self._state = "serving"
                self._say_ready(announce)
            self._reactor.until(lambda: self._stops > 0)
            self._drain()

    def _open(self, stack: ExitStack) -> None:
        settings, server = self._settings, self._settings.server
        control = socket_path(server.state_dir)
        stack.enter_context(occupied(server.state_dir))
        self._open_desk(control, stack)
        shares = listen_for_workers(worker_count(settings), server.listen, self._environ, stack)
        admin, self._admin = listen_for_operators(settings, self._environ, stack)
        books = listen_for_books(server.state_dir, stack)
        counters = SharedMemory.create()
        stack.callback(counters.close)
        stack.callback(self._end_all)
        self._start_bookkeeper(books)
        self._start_workers(shares, counters)
        self._listening = names_of(shares[0], server.tls)
        self._start_operators(admin, control)

    def _open_desk(self, control: Path, stack: ExitStack) -> None:
        commands = {"status": self._tell_status, "metrics": self._tell_metrics, "stop": self._tell_stopping}
        desk = Desk(self._reactor, control, commands)
        desk.open()
        stack.callback(desk.close)

    def _start_bookkeeper(self, sock: socket.socket) -> None:
        work = partial(keep_books, settings=self._settings, clock=self._clock, sock=sock)
        self._bookkeeper.append(self._crew.hire("bookkeeper", work))
        self._await_ready(self._bookkeeper)

    def _start_workers(self, shares: Sequence[Sequence[socket.socket]], counters: SharedMemory) -> None:
        settings = share_of(self._settings, len(shares))
        for number, sockets in enumerate(shares, 1):
            name = f"worker {number}" if len(shares) > 1 else "worker"
            self._sheets.append(sheet := Sheet())
            work = partial(
                serve_callers, settings=settings, clock=self._clock, counters=counters, sheet=sheet, sockets=sockets
            )
            self._workers.append(self._crew.hire(name, work))
        self._await_ready(self._workers)

    def _start_operators(self, sockets: Sequence[socket.socket], control: Path) -> None:
        """The ready line does not wait for them: their sockets listen already."""
        if sockets:
            work = partial(show_operators, settings=self._settings, sockets=sockets, control=control)
            self._operators.append(self._crew.hire("operators", work, awaited=False))

    def _await_ready(self, children: Sequence[Child]) -> None:
        """Raises StartError with the words of the first that fails."""

        def settled() -> bool:
            return self._stops > 0 or any(not each.alive for each in children) or all(each.ready for each in children)

        self._reactor.until(settled)
        for child in children:
            if not child.alive and not self._stops:
                raise StartError(child.failure)

    def _say_ready(self, announce: Announce) -> None:
        places = ", ".join(self._listening)
        notify(self._environ, "READY=1", f"STATUS=serving on {places}")
        announce(f"gatewayd {__version__} ready on {places} (pid {os.getpid()})")

    def _signalled(self, number: int) -> None:
        if number == signal.SIGHUP:
            logger.warning("SIGHUP was ignored: a configuration takes effect at a restart, not before")
            return
        if number == signal.SIGUSR1:
            self._crew.call(self._workers, "reopen")
            return
        self._stops += 1
        if self._stops > 1:
            self._crew.tell(self._workers, "cut")

    def _drain(self) -> None:
        """Let workers finish, all of them refusing until the last has; then end everybody in order."""
        self._state = "draining"
        self._crew.tell(self._workers, "drain")
        notify(self._environ, "STOPPING=1", "STATUS=draining")
        self._crew.ask(self._workers, "status", _log_drain)
        if self._stops > 1:
            self._crew.tell(self._workers, "cut")
        patience = self._settings.server.drain_timeout + _MARGIN
        self._reactor.until(lambda: all(each.idle or not each.alive for each in self._workers), patience)

    def _end_all(self) -> None:
        """The bookkeeper outlives the workers, whose last records it takes; operators see it to the end."""
        for children in (self._workers, self._bookkeeper, self._operators):
            self._crew.tell(children, "end")
            self._await_end(children)

    def _await_end(self, children: Sequence[Child]) -> None:
        def ended() -> bool:
            return not any(each.alive for each in children)

        if not self._reactor.until(ended, _END_PATIENCE):
            self._crew.kill(children)
            self._reactor.until(ended)

    def _buried(self, child: Child) -> None:
        """The numbers of the dead still count."""
        self._departed.add(Tally.of([child.last.get("metrics", {})]).lasting())

    def _tell_status(self, reply: Reply) -> None:
        asked = [*self._workers, *self._bookkeeper]
        self._crew.ask(asked, "status", lambda answers: reply(self._status(answers)))

    def _status(self, answers: Answers) -> dict[str, Any]:
        ledger = next((answers[each] for each in self._bookkeeper if each in answers), None)
        circumstances = Circumstances(
            state=self._state,
            uptime=self._clock.monotonic() - self._started,
            listening=self._listening,
            admin=self._admin,
            ledger=ledger,
        )
        workers = [{**answers.get(each, {}), **each.describe()} for each in self._workers]
        return describe(self._settings, circumstances, workers, [each.describe() for each in self._crew.children])

    def _tell_metrics(self, reply: Reply) -> None:
        def answer(answers: Answers) -> None:
            own = {"gauges": level(RELOADED, self._reload_success)}
            counted = [sheet.samples() for sheet in self._sheets]
            reply({"samples": [*counted, *answers.values(), self._departed.lasting(), own]})

        self._crew.ask([*self._workers, *self._bookkeeper], "metrics", answer)

    def _tell_stopping(self, reply: Reply) -> None:
        """Ask twice, and it still drains: only a signal cuts off what somebody else waits for."""

        def answer(answers: Answers) -> None:
            in_flight = sum(each["in_flight"] for each in answers.values())
            reply({"stopping": True, "in_flight": in_flight, "pid": os.getpid()})
            self._stops = max(1, self._stops)

        self._crew.ask(self._workers, "status", answer)


def _log_drain(answers: Answers) -> None:
    logger.info("draining: %d requests in flight", sum(each["in_flight"] for each in answers.values()))


def worker_count(settings: Settings) -> int:
    """How many were asked for; "auto" is one for each CPU that this process may use."""
    return settings.server.workers or len(os.sched_getaffinity(0))
