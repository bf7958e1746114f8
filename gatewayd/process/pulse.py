"""Children whose event loop stands still: alive for the kernel, dead for callers. Others take their places."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from gatewayd.process.crew import Crew
from gatewayd.process.hired import Child
from gatewayd.process.inquiries import Answers
from gatewayd.process.notify import watchdog_period
from gatewayd.process.reactor import Reactor

LONGEST_SECONDS: Final = 8.0
SHORTEST_SECONDS: Final = 2.0
MISSES: Final = 4
"""So many beats in a row: a daemon that was stopped as a whole misses one, and so does one that waits for a disk."""


def patience(environ: Mapping[str, str]) -> float:
    """Seconds after which a child that answers nothing is replaced: well before a service manager ends the daemon."""
    period = watchdog_period(environ) or LONGEST_SECONDS
    return min(max(period, SHORTEST_SECONDS), LONGEST_SECONDS)


class Pulse:
    """Asks every child, again and again, for nothing but an answer. Mutable: it counts who misses one.

    The process that is replaced is dead before another begins, so it writes nothing any more, whenever it would have
    woken: what it had in its hands is as after any death.
    """

    def __init__(self, reactor: Reactor, crew: Crew, seconds: float) -> None:
        self._reactor = reactor
        self._crew = crew
        self._beat_seconds = seconds / (2 * MISSES)  # to answer, and until it is asked again
        self._missed: dict[Child, int] = {}

    def start(self) -> None:
        """For as long as the reactor turns."""
        self._reactor.later(self._beat_seconds, self._beat)

    def _beat(self) -> None:
        lives = [(child, child.pid) for child in self._crew.children if _is_expected(child)]
        children = [child for child, _ in lives]
        self._crew.ask(children, "beat", partial(self._judge, lives), lasting=False, patience=self._beat_seconds)

    def _judge(self, lives: Sequence[tuple[Child, int]], answers: Answers) -> None:
        silent = [child for child, pid in lives if child not in answers and child.pid == pid and _is_expected(child)]
        self._missed = {child: self._missed.get(child, 0) + 1 for child in silent}
        for child, missed in list(self._missed.items()):
            if missed >= MISSES:
                del self._missed[child]
                self._crew.replace([child], "answers nothing any more")
        self.start()


def _is_expected(child: Child) -> bool:
    """One that begins or ends may be busy with that; how long either may take, others know."""
    return child.alive and child.ready and (child.wanted or child.retired)
