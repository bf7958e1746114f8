"""`gatewayd start`: a process without an event loop, which holds the sockets and has children do the work."""

import logging
import os
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Final

from gatewayd import __version__
from gatewayd.build import BUILD
from gatewayd.clock import Clock
from gatewayd.config.settings import Settings
from gatewayd.process.actions import Actions
from gatewayd.process.answers import Answering
from gatewayd.process.child import Run
from gatewayd.process.control import socket_path
from gatewayd.process.course import Course
from gatewayd.process.desk import Desk, Reply
from gatewayd.process.handover import handed_over, listening
from gatewayd.process.inquiries import Answers
from gatewayd.process.notify import notify, serving, watchdog_period
from gatewayd.process.pulse import Pulse, patience
from gatewayd.process.reactor import SIGNALS, Call, Reactor, hearing
from gatewayd.process.reload import DRAINING, Reload, Reread
from gatewayd.process.staff import Staff
from gatewayd.process.statedir import occupied
from gatewayd.process.upgrade import Upgrade

logger = logging.getLogger(__name__)

_MARGIN: Final = 5.0  # seconds beyond the drain's deadline after which a worker that is not idle is given up
_MOST_ORDERS: Final = 64

Announce = Callable[[str], None]


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
        self._environ = environ
        self._left = handed_over(environ)
        self._course = Course(settings, image=self._left.image + 1 if self._left is not None else 1)
        self._reactor = Reactor(clock)
        self._staff = Staff(self._reactor, self._course, clock, environ, run)
        self._actions = Actions(self._course, clock)
        self._answering = Answering(self._course, self._staff, clock)
        self._reload = Reload(self._course, self._staff, clock, environ, reread)
        self._upgrade = Upgrade(self._reactor, self._course, self._staff, clock, environ)
        self._lock = -1
        self._desk: Desk | None = None
        self._hear: Call = lambda: None
        self._orders: deque[Callable[[], object]] = deque()

    def run(self, announce: Announce) -> None:
        """Serve until stopped. Raises StartError before the first connection, or not at all."""
        with ExitStack() as stack:
            stack.callback(self._reactor.close)
            self._hear = stack.enter_context(hearing(self._reactor, self._signalled))
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # the program before this one let them wait
            self._open(stack)
            if not self._course.stops:  # a signal may have come first
                self._course.state = "serving"
                self._say_ready(announce)
                Pulse(self._reactor, self._staff.crew, patience(self._environ)).start()
                self._staff.workers.tenancy.start()
                if (period := watchdog_period(self._environ)) is not None:
                    self._look_after(period)
            self._obey()
            self._drain()

    def _open(self, stack: ExitStack) -> None:
        state, left = self._course.settings.server.state_dir, self._left
        self._lock = stack.enter_context(occupied(state, left.lock if left is not None else None))
        self._open_desk(stack)
        self._staff.open(stack, left)
        if left is not None:
            self._upgrade.take_over(left)
        else:
            self._staff.start()
        self._staff.note_addresses()

    def _open_desk(self, stack: ExitStack) -> None:
        commands = {
            **self._answering.commands,
            "note": lambda words, reply: reply(self._actions.told(words)),
            "stop": self._told_to_stop,
            "reload": self._told_to_reload,
            "plan": self._tell_plan,
            "upgrade": self._told_to_upgrade,
        }
        self._desk = Desk(self._reactor, socket_path(self._course.settings.server.state_dir), commands)
        self._desk.open(listening(self._left.control) if self._left is not None else None)
        stack.callback(self._desk.close)

    def _say_ready(self, announce: Announce) -> None:
        notify(self._environ, *serving(self._course.listening))
        logger.info("this build of gatewayd is %s", BUILD)
        if self._left is None:
            announce(f"gatewayd {__version__} ready on {', '.join(self._course.listening)} (pid {os.getpid()})")
        else:
            logger.info("gatewayd %s took over, generation %d is in force", __version__, self._course.generation)

    def _look_after(self, period: float) -> None:
        """Tell the service manager, again and again, that every worker's event loop still answers."""
        workers = self._staff.workers

        def judge(answers: Answers) -> None:
            if all(child in answers for child in workers.current if child.ready and child.alive):
                notify(self._environ, "WATCHDOG=1")

        self._staff.crew.ask(workers.current, "status", judge, lasting=False)
        self._reactor.later(period, lambda: self._look_after(period))

    def _signalled(self, number: int) -> None:
        if number == signal.SIGHUP:
            if self._reload_on_signal not in self._orders:  # one that has not begun will see all that was changed
                self._orders.append(self._reload_on_signal)
            return
        if number == signal.SIGUSR1:
            self._staff.crew.call(self._staff.workers.all, "reopen")
            return
        self._course.stops += 1
        self._actions.note_signal("stop", number, {"daemon": os.getpid(), "at_once": self._course.stops > 1})
        if self._course.stops > 1:
            self._staff.crew.tell(self._staff.workers.all, "cut")

    def _obey(self) -> None:
        """Do what is ordered, one after the other, until told to stop."""
        while not self._course.stops:
            self._reactor.until(lambda: self._course.stops > 0 or bool(self._orders))
            if self._orders and not self._course.stops:
                self._orders.popleft()()
        while self._orders:
            self._orders.popleft()()  # each is refused now

    def _reload_on_signal(self) -> None:
        answer = self._reload("")
        self._actions.note_signal("reload", signal.SIGHUP, {"generation": answer["generation"]}, result=_result(answer))

    def _told_to_reload(self, words: Mapping[str, Any], reply: Reply) -> None:
        file = words.get("file", "")

        def noted(answer: Mapping[str, Any]) -> None:
            subject = {"file": file, "generation": answer["generation"]}
            self._actions.note("reload", words, subject, result=_result(answer))
            reply({**answer, "noted": True})

        if (why := self._unwilling()) is not None:
            noted({"refused": why, "generation": self._course.generation})
            return
        waits = bool(self._orders) or self._course.state == "reloading"
        self._orders.append(lambda: noted({**self._reload(file), "waited": waits}))

    def _tell_plan(self, words: Mapping[str, Any], reply: Reply) -> None:
        reply(self._reload.plan(words.get("file", "")))

    def _told_to_upgrade(self, words: Mapping[str, Any], reply: Reply) -> None:
        program, config = words.get("executable"), words.get("config")

        def noted(answer: Mapping[str, Any]) -> None:
            self._actions.note("upgrade", words, {"executable": program}, result=_result(answer))
            reply({**answer, "noted": True})

        if (why := self._unwilling()) is not None:
            noted({"refused": why})
            return
        command = [program, "start", "-c", config] if program and config else self._command
        assert self._desk is not None
        control = self._desk.fd
        leave_to, hear = self._upgrade.leave_to, self._hear
        self._orders.append(lambda: leave_to(command, noted, hear, lock=self._lock, control=control))

    def _unwilling(self) -> str | None:
        """Why nothing more can be ordered, if that is so."""
        if self._course.stops:
            return DRAINING
        return "too many reloads wait already" if len(self._orders) >= _MOST_ORDERS else None

    def _told_to_stop(self, words: Mapping[str, Any], reply: Reply) -> None:
        """Ask twice, and it still drains: only a signal cuts off what somebody else waits for."""

        def answer(answers: Answers) -> None:
            self._actions.note("stop", words, {"daemon": os.getpid()})
            reply({"stopping": True, "in_flight": _in_flight(answers), "pid": os.getpid(), "noted": True})
            self._course.stops = max(1, self._course.stops)

        self._staff.crew.ask(self._staff.workers.all, "status", answer)

    def _drain(self) -> None:
        """Let workers finish, all of them refusing until the last has; their end is the staff's."""
        self._course.state = "draining"
        crew, workers = self._staff.crew, self._staff.workers.all
        crew.tell(workers, "drain")
        notify(self._environ, "STOPPING=1", "STATUS=draining")
        crew.ask(workers, "status", _log_drain)
        if self._course.stops > 1:
            crew.tell(workers, "cut")
        longest = self._course.settings.server.drain_timeout + _MARGIN
        self._reactor.until(lambda: all(each.idle or not each.alive for each in workers), longest)


def _in_flight(answers: Answers) -> int:
    return sum(each["in_flight"] for each in answers.values())


def _result(answer: Mapping[str, Any]) -> str:
    return "refused" if answer.get("refused") is not None else "done"


def _log_drain(answers: Answers) -> None:
    logger.info("draining: %d requests in flight", _in_flight(answers))
