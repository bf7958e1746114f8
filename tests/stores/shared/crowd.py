"""Processes that count in one shared table, as a program of its own so that nothing but it is forked.

`python -m tests.stores.shared.crowd race|kill ROUNDS` prints a JSON list, for each round what it should and did admit.
"""

import json
import os
import random
import signal
import sys
from collections.abc import Callable

from gatewayd.model import Rate, Window
from gatewayd.stores.shared.counters import SharedCounters
from gatewayd.stores.shared.memory import SharedMemory
from tests.clocks import ManualClock

WORKERS = 4
KILLED = 2
KEYS = "ab"


def window(key: str, burst: int) -> Window:
    return Window(f"{{user:{key}}}minute", "user-minute", Rate(60, "minute", burst=burst))


def worker(memory: SharedMemory, gate: int, report: int, orders: list[list[Window]]) -> None:
    """Once the gate falls, takes in these orders by turns until refused; reports a byte for each that was admitted."""
    counters = SharedCounters(memory, ManualClock())
    os.read(gate, 1)
    turn = 0
    while all(tally.admitted for tally in counters.judge(orders[turn % len(orders)])):
        os.write(report, b"x")
        turn += 1


def forked(work: Callable[[], None]) -> int:
    if pid := os.fork():
        return pid
    try:
        work()
    finally:
        os._exit(0)


def run(burst: int, orders: list[list[Window]], kill_after: int | None) -> int:
    """How many takes were admitted to all of them together; a few are killed after that many."""
    memory = SharedMemory.create(1_000)
    gate, starter = os.pipe()
    reports, report = os.pipe()

    def work() -> None:
        os.close(starter)
        worker(memory, gate, report, orders)

    pids = [forked(work) for _ in range(WORKERS)]
    for fd in (gate, starter, report):
        os.close(fd)
    admitted = 0
    while some := os.read(reports, 64):
        admitted += len(some)
        if kill_after is not None and admitted >= kill_after:
            for pid in pids[:KILLED]:
                os.kill(pid, signal.SIGKILL)
            kill_after = None
    for pid in pids:
        os.waitpid(pid, 0)
    os.close(reports)
    memory.close()
    return admitted


def main(kind: str, rounds: int) -> None:
    rng = random.Random(kind)
    results = []
    for _ in range(rounds):
        burst = rng.randint(1, 400)
        both = [window(key, burst) for key in KEYS]
        orders = [both, both[::-1]]
        after = rng.randint(0, burst) if kind == "kill" else None
        results.append((burst, run(burst, orders, after)))
    print(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
