"""`gatewayd start`: a process without an event loop, which holds the sockets and has children do the work."""

import logging
import os
import signal
import socket
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, Final

from gatewayd import __version__
from gatewayd.admin.sightings import merged
from gatewayd.clock import Clock
from gatewayd.config.difference import difference
from gatewayd.config.loading import Loaded
from gatewayd.config.report import problems_as_json
from gatewayd.config.settings import Settings
from gatewayd.errors import ConfigError, StartError
from gatewayd.metrics import Tally
from gatewayd.metrics.families import RELOADED, level
from gatewayd.model import rfc3339
from gatewayd.process.bookkeeping import keep_books, listen_for_books
from gatewayd.process.child import Run
from gatewayd.process.control import socket_path
from gatewayd.process.crew import Answers, Child, Crew, Job
from gatewayd.process.desk import Desk, Reply
from gatewayd.process.handover import Handover, become, handed_over, listening, rehearse
from gatewayd.process.listen import names_of
from gatewayd.process.listeners import Listeners
from gatewayd.process.notify import notify, reloading, watchdog_period
from gatewayd.process.operators import NOBODY_LOOKS
from gatewayd.process.reactor import SIGNALS, Reactor, hearing
from gatewayd.process.reception import Reception
from gatewayd.process.statedir import occupied
from gatewayd.process.status import Circumstances, describe, running_by_generation
from gatewayd.process.workers import WORKER, Workers
from gatewayd.stores.shared.memory import SharedMemory

logger = logging.getLogger(__name__)

_MARGIN: Final = 5.0  # seconds beyond the drain's deadline after which a worker that is not idle is given up
_END_PATIENCE: Final = 6.0  # seconds that a child gets to end when it has nothing to do any more
_BESIDE_PATIENCE: Final = 20.0  # seconds in which a new program's workers should serve
_MOST_ORDERS: Final = 64
_DRAINING: Final = "the daemon is stopping"

Announce = Callable[[str], None]
Reread = Callable[[str], Loaded]
"""The configuration as the files say it now; of the daemon's own file if none is named. Raises ConfigError."""


class Supervisor:
    """A daemon of several processes, until it is told to stop. Mutable: it goes through its life once."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        environ: Mapping[str, str],
        run: Run,
        reread: Reread,
        command: Sequence[str] = (),
    ) -> None:
        """`run` runs a child's coroutine in an event loop; `command` is how the daemon was started.

        Raises StartError for what an older program handed over to this one and cannot be understood.
        """
        self._command = list(command)
        self._left = handed_over(environ)
        self._image = self._left.image + 1 if self._left is not None else 1
        self._upgrade_failure = ""
        self._lock = -1
        self._desk: Desk | None = None
        self._memory: SharedMemory | None = None
        self._settings = settings
        self._clock = clock
        self._environ = environ
        self._reread = reread
        self._started = clock.monotonic()
        self._reactor = Reactor(clock)
        self._crew = Crew(self._reactor, clock, run, self._buried, self._forget)
        self._listeners = Listeners(environ)
        self._workers = Workers(self._crew, clock, self._listeners, self._await_ready)
        self._reception = Reception(self._crew, clock, environ)
        self._bookkeeper: list[Child] = []
        self._books: socket.socket | None = None
        self._departed = Tally()  # what those have counted who are gone
        self._gone: Mapping[str, Any] = {}  # what those have sighted who are gone
        self._state = "starting"
        self._generation = 1
        self._reloaded = True  # whether the last reload was adopted
        self._last_reload: Mapping[str, Any] | None = None
        self._orders: deque[Callable[[], None]] = deque()
        self._stops = 0
        self._listening: tuple[str, ...] = ()

    def run(self, announce: Announce) -> None:
        """Serve until stopped. Raises StartError before the first connection, or not at all."""
        with ExitStack() as stack:
            stack.callback(self._reactor.close)
            stack.enter_context(hearing(self._reactor, self._signalled))
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # the program before this one let them wait
            self._open(stack)
            if not self._stops:  # a signal may have come first
                self._state = "serving"
                self._say_ready(announce)
                if (period := watchdog_period(self._environ)) is not None:
                    self._look_after(period)
            self._obey()
            self._drain()

    def _open(self, stack: ExitStack) -> None:
        state, left = self._settings.server.state_dir, self._left
        self._lock = stack.enter_context(occupied(state, left.lock if left is not None else None))
        self._open_desk(stack)
        stack.callback(self._listeners.close)
        stack.callback(self._reception.close)
        counters = SharedMemory.taken_over(left.counters) if left is not None else SharedMemory.create()
        self._memory = counters
        stack.callback(counters.close)
        self._books = listen_for_books(state, stack, listening(left.books) if left is not None else None)
        stack.callback(self._end_all)
        if left is not None:
            self._take_over(left, counters)
        else:
            self._reception.listen(self._settings)
            self._start_bookkeeper(self._books)
            self._workers.start(self._settings, self._generation, counters)
            self._reception.start(socket_path(state))
        self._note_addresses()

    def _take_over(self, left: Handover, counters: SharedMemory) -> None:
        """Begin beside the children of the program before this one, who serve until ours do."""
        self._generation = left.generation + 1
        self._departed.add(left.counted)
        self._listeners.take_over(left.listeners)
        self._workers.take_over([each for each in left.children if each["role"] == WORKER])
        older = [self._crew.adopt(each["name"], each["pid"], listening(each["line"])) for each in self._others(left)]
        assert self._books is not None
        self._crew.tell(older, "end")
        self._await_end(older)
        self._start_bookkeeper(self._books)
        same_place = left.admin == str(self._settings.admin.listen)
        self._reception.listen(self._settings, [listening(fd) for fd in left.operators] if same_place else ())
        self._reception.start(socket_path(self._settings.server.state_dir))
        if self._workers.start_beside(self._settings, self._generation, counters, _BESIDE_PATIENCE):
            self._workers.retire_older()
        else:
            self._upgrade_failure = "the new workers do not start, the older ones serve on; see the log"
            logger.error(self._upgrade_failure)
            self._retire_older_when_ready()

    @staticmethod
    def _others(left: Handover) -> list[Mapping[str, Any]]:
        return [each for each in left.children if each["role"] != WORKER]

    def _retire_older_when_ready(self) -> None:
        if all(child.ready for child in self._workers.current):
            self._upgrade_failure = ""
            self._workers.retire_older()
        else:
            self._reactor.later(1.0, self._retire_older_when_ready)

    def _open_desk(self, stack: ExitStack) -> None:
        commands = {
            "status": self._tell_status,
            "metrics": self._tell_metrics,
            "stop": self._tell_stopping,
            "reload": self._told_to_reload,
            "plan": self._tell_plan,
            "sightings": self._tell_sightings,
            "overview": self._tell_overview,
            "upgrade": self._told_to_upgrade,
        }
        self._desk = Desk(self._reactor, socket_path(self._settings.server.state_dir), commands)
        self._desk.open(listening(self._left.control) if self._left is not None else None)
        stack.callback(self._desk.close)

    def _forget(self, kept: Collection[socket.socket]) -> None:
        """In a child: what is not its job is closed, or it would stay open for as long as the child lives."""
        self._listeners.close_but(kept)
        self._reception.close_but(kept)
        if self._books is not None and self._books not in kept:
            self._books.close()

    def _start_bookkeeper(self, sock: socket.socket) -> None:
        work = partial(keep_books, settings=self._settings, clock=self._clock, sock=sock)
        self._bookkeeper.append(self._crew.hire("bookkeeper", Job(work, [sock])))
        self._await_ready(self._bookkeeper)

    def _await_ready(self, children: Sequence[Child]) -> None:
        """Raises StartError with the words of the first that fails."""

        def settled() -> bool:
            return self._stops > 0 or any(not each.alive for each in children) or all(each.ready for each in children)

        self._reactor.until(settled)
        for child in children:
            if not child.alive and not self._stops:
                raise StartError(child.failure)

    def _note_addresses(self) -> None:
        self._listening = names_of(self._listeners.places, self._settings.server.tls)

    def _say_ready(self, announce: Announce) -> None:
        places = ", ".join(self._listening)
        notify(self._environ, "READY=1", f"STATUS=serving on {places}")
        if self._left is None:
            announce(f"gatewayd {__version__} ready on {places} (pid {os.getpid()})")
        else:
            logger.info("gatewayd %s took over, generation %d is in force", __version__, self._generation)

    def _look_after(self, period: float) -> None:
        """Tell the service manager, again and again, that every worker's event loop still answers."""

        def judge(answers: Answers) -> None:
            if all(child in answers for child in self._workers.current if child.ready and child.alive):
                notify(self._environ, "WATCHDOG=1")

        self._crew.ask(self._workers.current, "status", judge, lasting=False)
        self._reactor.later(period, lambda: self._look_after(period))

    def _signalled(self, number: int) -> None:
        if number == signal.SIGHUP:
            if self._reload_on_signal not in self._orders:  # one that has not begun will see all that was changed
                self._orders.append(self._reload_on_signal)
            return
        if number == signal.SIGUSR1:
            self._crew.call(self._workers.all, "reopen")
            return
        self._stops += 1
        if self._stops > 1:
            self._crew.tell(self._workers.all, "cut")

    def _obey(self) -> None:
        """Do what is ordered, one after the other, until told to stop."""
        while not self._stops:
            self._reactor.until(lambda: self._stops > 0 or bool(self._orders))
            if self._orders and not self._stops:
                self._orders.popleft()()
        while self._orders:
            self._orders.popleft()()  # each is refused now

    def _reload_on_signal(self) -> None:
        self._reload("")

    def _told_to_reload(self, words: Mapping[str, Any], reply: Reply) -> None:
        if self._stops or len(self._orders) >= _MOST_ORDERS:
            why = _DRAINING if self._stops else "too many reloads wait already"
            reply({"refused": why, "generation": self._generation})
            return
        waits = bool(self._orders) or self._state == "reloading"
        self._orders.append(lambda: reply({**self._reload(words.get("file", "")), "waited": waits}))

    def _reload(self, file: str) -> dict[str, Any]:
        """All of it or nothing: what was done, or why it was refused."""
        if self._stops:
            return {"refused": _DRAINING, "generation": self._generation}
        began = self._clock.monotonic()
        self._state = "reloading"
        notify(self._environ, *reloading(began), "STATUS=reloading")
        try:
            answer = self._reload_from(file)
        except ConfigError as error:
            answer = {"refused": "the configuration is refused", "problems": problems_as_json(error.problems)}
        except StartError as error:
            answer = {"refused": str(error)}
        self._state = "serving"
        self._reloaded = "refused" not in answer
        answer |= {"generation": self._generation, "seconds": round(self._clock.monotonic() - began, 4)}
        notify(self._environ, "READY=1", f"STATUS=serving on {', '.join(self._listening)}")
        self._last_reload = {"at": rfc3339(self._clock.utc()), "adopted": self._reloaded, "reason": _refusal(answer)}
        _log_reload(answer)
        return answer

    def _reload_from(self, file: str) -> dict[str, Any]:
        """Raises ConfigError and StartError."""
        loaded = self._reread(file)
        changes = difference(self._settings, loaded.settings)
        if changes.needs_restart:
            raise StartError(f"{', '.join(changes.needs_restart)} cannot change while the daemon runs: restart it")
        self._change_to(loaded.settings)
        running = running_by_generation(self._crew.hear(self._workers.all, "status").values())
        warnings = [str(each) for each in loaded.warnings]
        return {"changes": changes.document(), "running_by_generation": running, "warnings": warnings}

    def _change_to(self, settings: Settings) -> None:
        """Prepare everywhere, then commit everywhere. Raises StartError, and has changed nothing then."""
        self._crew.pause()
        try:
            moved = self._reception.prepare(settings)
            try:
                prepared = self._workers.prepare(settings, self._generation + 1)
            except StartError:
                self._reception.discard(moved)
                raise
            if self._stops:
                self._workers.discard(prepared)
                self._reception.discard(moved)
                raise StartError(_DRAINING)
            self._settings = settings
            self._generation += 1
            self._workers.commit(prepared)
            self._reception.commit(settings, moved)
            self._note_addresses()
        finally:
            self._crew.go_on()

    def _told_to_upgrade(self, words: Mapping[str, Any], reply: Reply) -> None:
        if self._stops or len(self._orders) >= _MOST_ORDERS:
            reply({"refused": _DRAINING if self._stops else "too many reloads wait already"})
            return
        program, config = words.get("executable"), words.get("config")
        command = [program, "start", "-c", config] if program and config else self._command
        self._orders.append(lambda: self._upgrade(command, reply))

    def _upgrade(self, command: Sequence[str], reply: Reply) -> None:
        """Become another program, if it says that it can take over; whoever asked finds that out by the status."""
        if self._stops:
            reply({"refused": _DRAINING})
            return
        try:
            said = rehearse(command, self._environ)
            reply({"image": self._image, "said": said})
            self._upgrade_failure = ""
            notify(self._environ, *reloading(self._clock.monotonic()), "STATUS=upgrading")
            become(command, self._environ, self._leave())
        except StartError as error:
            self._upgrade_failure = str(error)
            logger.error("not upgraded: %s", error)  # noqa: TRY400
            reply({"refused": str(error)})
            notify(self._environ, "READY=1", f"STATUS=serving on {', '.join(self._listening)}")

    def _leave(self) -> Handover:
        assert self._desk is not None
        assert self._books is not None
        assert self._memory is not None
        others = (*self._bookkeeper, *self._reception.children)
        return Handover(
            generation=self._generation,
            image=self._image,
            lock=self._lock,
            control=self._desk.fd,
            books=self._books.fileno(),
            operators=[sock.fileno() for sock in self._reception.sockets],
            admin=str(self._settings.admin.listen),
            listeners=self._listeners.handed_over(),
            children=[
                *self._workers.handed_over(),
                *({"role": "other", **each.handed_over(), "sheet": None} for each in others if each.alive),
            ],
            counters=self._memory.handed_over(),
            counted=self._departed.lasting(),
        )

    def _tell_plan(self, words: Mapping[str, Any], reply: Reply) -> None:
        """What a reload would change; nothing is done."""
        try:
            loaded = self._reread(words.get("file", ""))
        except ConfigError as error:
            reply({"refused": "the configuration is refused", "problems": problems_as_json(error.problems)})
            return
        changes = difference(self._settings, loaded.settings).document()
        reply({"changes": changes, "generation": self._generation, "warnings": [str(each) for each in loaded.warnings]})

    def _drain(self) -> None:
        """Let workers finish, all of them refusing until the last has; then end everybody in order."""
        self._state = "draining"
        workers = self._workers.all
        self._crew.tell(workers, "drain")
        notify(self._environ, "STOPPING=1", "STATUS=draining")
        self._crew.ask(workers, "status", _log_drain)
        if self._stops > 1:
            self._crew.tell(workers, "cut")
        patience = self._settings.server.drain_timeout + _MARGIN
        self._reactor.until(lambda: all(each.idle or not each.alive for each in workers), patience)

    def _end_all(self) -> None:
        """The bookkeeper outlives the workers, whose last records it takes; operators see it to the end."""
        for children in (self._workers.all, self._bookkeeper, self._reception.children):
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
        if (sheet := self._workers.buried(child)) is not None:
            self._departed.add(Tally.of([sheet.samples()]).lasting())
        self._gone = {**merged([self._gone, child.last.get("sightings", {})]), "in_flight": {}}

    def _tell_status(self, _words: Mapping[str, Any], reply: Reply) -> None:
        asked = [*self._workers.all, *self._bookkeeper]
        self._crew.ask(asked, "status", lambda answers: reply(self._status(answers)))

    def _status(self, answers: Answers) -> dict[str, Any]:
        ledger = next((answers[each] for each in self._bookkeeper if each in answers), None)
        circumstances = Circumstances(
            state=self._state,
            uptime=self._clock.monotonic() - self._started,
            listening=self._listening,
            admin=self._reception.address,
            ledger=ledger,
            last_reload=self._last_reload,
        )
        workers = [{**answers.get(each, {}), **each.describe()} for each in self._workers.all]
        children = [each.describe() for each in self._crew.children]
        own = {"image": self._image, "upgrade_failure": self._upgrade_failure}
        return describe(self._settings, circumstances, workers, children) | own

    def _tell_metrics(self, _words: Mapping[str, Any], reply: Reply) -> None:
        own = {"gauges": level(RELOADED, self._reloaded)}

        def answer(answers: Answers) -> None:
            counted = [sheet.samples() for sheet in self._workers.sheets]
            reply({"samples": [*counted, *answers.values(), self._departed.lasting(), own]})

        self._crew.ask([*self._workers.all, *self._bookkeeper], "metrics", answer)

    def _tell_sightings(self, _words: Mapping[str, Any], reply: Reply) -> None:
        self._crew.ask(self._workers.all, "sightings", lambda answers: reply(merged([*answers.values(), self._gone])))

    def _tell_overview(self, _words: Mapping[str, Any], reply: Reply) -> None:
        def answer(answers: Answers) -> None:
            found = [each for each in answers.values() if each]
            reply(found[0] if found else {"error": NOBODY_LOOKS})

        self._crew.ask(self._reception.children, "overview", answer)

    def _tell_stopping(self, _words: Mapping[str, Any], reply: Reply) -> None:
        """Ask twice, and it still drains: only a signal cuts off what somebody else waits for."""

        def answer(answers: Answers) -> None:
            in_flight = sum(each["in_flight"] for each in answers.values())
            reply({"stopping": True, "in_flight": in_flight, "pid": os.getpid()})
            self._stops = max(1, self._stops)

        self._crew.ask(self._workers.all, "status", answer)


def _refusal(answer: Mapping[str, Any]) -> str:
    """Why a reload was refused, with the first problem of its configuration; empty if it was not."""
    if (why := answer.get("refused")) is None:
        return ""
    first = next(iter(answer.get("problems", ())), None)
    return f"{why}: {first['file']}:{first['line']}: {first['key']}: {first['message']}" if first else str(why)


def _log_reload(answer: Mapping[str, Any]) -> None:
    if (why := answer.get("refused")) is None:
        logger.info("generation %d is in force after %.3f s", answer["generation"], answer["seconds"])
        return
    logger.error("reload refused, generation %d still serves: %s", answer["generation"], why)
    for each in answer.get("problems", ()):
        logger.error("%s:%d:%d: %s: %s", *(each[part] for part in ("file", "line", "column", "key", "message")))


def _log_drain(answers: Answers) -> None:
    logger.info("draining: %d requests in flight", sum(each["in_flight"] for each in answers.values()))
