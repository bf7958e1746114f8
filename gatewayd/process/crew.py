"""The children of a supervisor: made, asked, told, and made again when they die."""

import logging
import os
import signal
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from gatewayd.clock import Clock
from gatewayd.errors import StartError
from gatewayd.process.child import Run, fork
from gatewayd.process.hired import Child, Job
from gatewayd.process.inquiries import Answers, Inquiries, Messages
from gatewayd.process.lines import Lines
from gatewayd.process.reactor import Reactor

logger = logging.getLogger(__name__)

_STEADY: Final = 10.0  # seconds after which a child that dies did not die of its start
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0
_PATIENCE: Final = 2.0  # seconds that a child gets to answer
_MAX_LINE: Final = 32 * 1024 * 1024


class Crew:
    """All of them. Mutable by nature."""

    def __init__(
        self,
        reactor: Reactor,
        clock: Clock,
        run: Run,
        buried: Callable[[Child], None],
        forget: Callable[[Collection[socket.socket]], None] = lambda _kept: None,
    ) -> None:
        """`run` gives a child its event loop; `buried` is called with each that died, its last answers still there.

        `forget` closes, in a child, what is the supervisor's and not among the sockets of its job.
        """
        self._reactor = reactor
        self._clock = clock
        self._run = run
        self._buried = buried
        self._forget = forget
        self._inquiries = Inquiries(reactor)
        self._unborn: list[Callable[[], None]] | None = None  # who waits for the end of a `paused`
        self.children: list[Child] = []

    def hire(self, name: str, job: Job, *, awaited: bool = True) -> Child:
        """Make a child that does this job, and make it again whenever it dies while it is wanted.

        One that is `awaited` is not, until it was ready once. Raises StartError if the system has no room for it.
        """
        child = Child(name, job, awaited=awaited)
        self.children.append(child)
        try:
            self._bear(child)
        except OSError as error:
            self.children.remove(child)
            raise StartError(f"cannot make a process for {name}: {error.strerror}") from None
        return child

    def adopt(self, name: str, pid: int, sock: socket.socket) -> Child:
        """A child of this process that another program made here before it became this one: it is retired."""
        child = Child(name, Job(_nothing), awaited=False)
        child.pid, child.ready, child.wanted, child.retired = pid, True, False, True
        sock.setblocking(False)
        child.born = self._clock.monotonic()
        self.children.append(child)
        self._listen(child, sock)
        return child

    def tell(self, children: Collection[Child], word: str) -> None:
        """Say drain, end or cut; none of them is made again."""
        for child in children:
            child.wanted = False
            if child.lines is not None:
                child.lines.say({"tell": word})

    def call(self, children: Collection[Child], word: str) -> None:
        """Have those who are alive do something that they may be told again."""
        for child in children:
            if child.lines is not None:
                child.lines.say({"call": word})

    def retire(self, children: Collection[Child]) -> None:
        """Let them finish what they have, however long it takes, and end."""
        for child in children:
            child.retired = True
            self.tell([child], "retire")
            if not child.alive:
                self.children.remove(child)

    def kill(self, children: Collection[Child]) -> None:
        """End what did not end when it was told to."""
        for child in children:
            child.wanted = False
            if child.alive:
                logger.error("%s (pid %d) does not end and is killed", child.name, child.pid)
                os.kill(child.pid, signal.SIGKILL)

    def replace(self, children: Collection[Child], why: str = "does not do as it is told") -> None:
        """Have others take their places, with the jobs that they have now."""
        for child in children:
            logger.error("%s (pid %d) %s and is replaced", child.name, child.pid, why)
            os.kill(child.pid, signal.SIGKILL)

    def are_ready(self, children: Collection[Child], patience: float) -> bool:
        """Wait until all of them are, for so many seconds at most; whether they are."""
        return self._reactor.until(lambda: all(child.ready for child in children), patience)

    def pause(self) -> None:
        """Let nobody be made again until `go_on`."""
        self._unborn = []

    def go_on(self) -> None:
        """Make those again who died since `pause`."""
        unborn, self._unborn = self._unborn or (), None
        for bear in unborn:
            bear()

    def ask(
        self,
        children: Collection[Child],
        name: str,
        then: Callable[[Answers], None],
        *,
        lasting: bool = True,
        patience: float = _PATIENCE,
    ) -> None:
        """Call `then` with the answers of all who are alive; one who is late stands with its last, or not at all."""
        messages: Messages = {child: ({"ask": name}, ()) for child in children}
        self._inquiries.begin(name, messages, then, patience, lasting=lasting)

    def hear(self, children: Collection[Child], name: str) -> Answers:
        """The answers, as `ask` gives them. Serves everything else meanwhile."""
        found: list[Answers] = []
        self.ask(children, name, found.append)
        self._reactor.until(lambda: bool(found))
        return found[0]

    def order(self, name: str, words: Mapping[Child, tuple[Any, Sequence[int]]], patience: float) -> Answers:
        """Have children do something, each with words and files of its own; what they answered in time.

        Returns with less when the children die. Serves everything else meanwhile.
        """
        found: list[Answers] = []
        messages: Messages = {
            child: ({"order": name, "with": said, "files": len(files)}, files) for child, (said, files) in words.items()
        }
        self._inquiries.begin(name, messages, found.append, patience, lasting=False)
        self._reactor.until(lambda: bool(found))
        return found[0]

    def _bear(self, child: Child) -> None:
        child.born = self._clock.monotonic()
        child.ready = child.idle = False
        child.failure = ""
        child.last = {}
        child.pid, sock = fork(child.job.work, self._run, lambda: self._abandon(child.job.sockets))
        self._listen(child, sock)

    def _abandon(self, kept: Collection[socket.socket]) -> None:
        self._reactor.abandon()
        self._forget(kept)

    def _listen(self, child: Child, sock: socket.socket) -> None:
        child.lines = Lines(
            self._reactor, sock, lambda message: self._heard(child, message), lambda: self._died(child), most=_MAX_LINE
        )

    def _heard(self, child: Child, message: Any) -> None:
        if not isinstance(message, dict):
            return
        self._inquiries.heard(child, message)
        child.ready = child.ready or "ready" in message
        child.idle = child.idle or "idle" in message
        child.failure = message.get("failed", child.failure)

    def _died(self, child: Child) -> None:
        """Its end of the line is closed, so it is dead or as good as dead."""
        child.lines = None
        with suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)
        _, status = os.waitpid(child.pid, 0)
        reason = child.failure or _words(os.waitstatus_to_exitcode(status))
        child.failure = child.failure or f"{child.name} {reason}"
        self._buried(child)
        if child.retired:
            self.children.remove(child)
        self._inquiries.died(child)
        if child.wanted and (child.ready or child.restarts or not child.awaited):
            self._bear_again(child, reason)

    def _bear_again(self, child: Child, reason: str) -> None:
        pause = _pause(child.pause, self._clock.monotonic() - child.born)
        logger.error("%s (pid %d) %s; another takes its place in %g s", child.name, child.pid, reason, pause)
        child.pause = pause
        child.restarts += 1

        def bear() -> None:
            if self._unborn is not None:
                self._unborn.append(bear)
                return
            try:
                if child.wanted:
                    self._bear(child)
            except OSError as error:
                self._bear_again(child, f"was not made: {error.strerror}")

        self._reactor.later(pause, bear)


async def _nothing(_link: object) -> None:
    """The work of one that is never made again."""


def _pause(last: float | None, lived: float) -> float:
    """How long to wait with the next life, so that one who dies of its start does not spin."""
    if last is None or lived >= _STEADY:
        return 0.0
    return min(_LONGEST_PAUSE, max(_FIRST_PAUSE, 2 * last))


def _words(code: int) -> str:
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
