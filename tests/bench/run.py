"""Rounds, interleaved: every bench waits in a process of its own for its turn, so that none warms another's heap."""

import multiprocessing
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Final

from tests.bench import machine
from tests.bench.declare import Bench, Measured, Ratio, Unavailable
from tests.bench.report import Report, ratios, series

PATIENCE: Final = 600.0
"""Seconds that a bench may take to open, or for one round."""
_NEXT: Final = "next"
_SPAWN: Final = multiprocessing.get_context("spawn")

Say = Callable[[str], None]


class Failed(Exception):
    """A bench that could not be measured, and why."""


class Absent(Exception):
    """A bench whose peer is not on this machine, and what that is."""


@dataclass(slots=True)
class Results:
    """Mutable: they gather."""

    rounds: dict[str, list[Measured]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def closed(self, bench: Bench) -> bool:
        """Whether nothing more is to be had of this bench."""
        return bench.name in self.failures or bench.name in self.absent


def run(benches: Sequence[Bench], declared: Sequence[Ratio], *, rounds: int, scale: float, say: Say) -> Report:
    """Measure them, in so many rounds, each in its turn."""
    facts = machine.facts()
    results = Results()
    with ExitStack() as stack:
        stands = {}
        for bench in benches:
            say(f"opening {bench.name}")
            with _noted(results, bench):
                stands[bench.name] = stack.enter_context(_stand(bench, scale))
        for number in range(1, rounds + 1):
            for bench in benches:
                if not results.closed(bench):
                    say(f"round {number} of {rounds}: {bench.name}")
                    with _noted(results, bench):
                        found = _answer(bench, stands[bench.name], _NEXT)
                        results.rounds.setdefault(bench.name, []).append(found)
    whole = {name: found for name, found in results.rounds.items() if name not in results.failures}
    figures = series(benches, whole)
    facts["load at the end"] = machine.facts()["load"]
    return Report(facts, scale, [*figures, *ratios(declared, figures)], results.failures, results.absent)


@contextmanager
def _noted(results: Results, bench: Bench) -> Iterator[None]:
    try:
        yield
    except Failed as failure:
        results.failures[bench.name] = str(failure)
    except Absent as reason:
        results.absent[bench.name] = str(reason)


@contextmanager
def _stand(bench: Bench, scale: float) -> Iterator[Connection]:
    """The bench's process, from when it is ready to measure; it ends what it started when our line to it ends."""
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_serve, args=(bench, scale, theirs), name=bench.name)
    process.start()
    theirs.close()
    try:
        _answer(bench, ours)
        yield ours
    finally:
        ours.close()
        process.join(PATIENCE)
        if process.is_alive():
            process.kill()
            process.join()


def _answer(bench: Bench, line: Connection, *question: str) -> Any:
    """What the bench's process says next. Raises Failed and Absent."""
    try:
        for word in question:
            line.send(word)
        if not line.poll(PATIENCE):
            raise Failed(f"nothing came within {PATIENCE:g} seconds")
        failure, answer = line.recv()
    except (EOFError, OSError):
        raise Failed("its process died") from None
    if failure is not None:
        raise failure(answer)
    missing = {figure.name for figure in bench.figures} ^ set(answer) if question else ()
    if missing:
        raise Failed(f"figures are declared and not measured, or the other way round: {', '.join(sorted(missing))}")
    return answer


def _serve(bench: Bench, scale: float, line: Connection) -> None:
    """The life of a bench's process. Ctrl-C is its parent's affair."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        if bench.pinned:
            machine.pin(machine.BESIDE)
        with bench.open(scale) as measure:
            if bench.pinned:
                machine.pin(machine.MEASURED)
            line.send((None, {}))
            while line.recv() == _NEXT:
                line.send((None, dict(measure())))
    except (EOFError, BrokenPipeError):  # whoever asked is gone
        return
    except Unavailable as reason:
        line.send((Absent, str(reason)))
    except Exception:
        line.send((Failed, traceback.format_exc()))


def to_stderr(progress: str) -> None:
    print(progress, file=sys.stderr, flush=True)
