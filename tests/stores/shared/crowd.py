"""Processes that count in one shared table, as a program of its own so that nothing but it is forked.

`python -m tests.stores.shared.crowd race|kill|tenancy|death ROUNDS` prints a JSON list, for each round what it should
and did admit.
"""

import json
import os
import random
import select
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from gatewayd.model import Bundle, Rate, Window
from gatewayd.stores.shared.counters import SharedCounters
from gatewayd.stores.shared.memory import SharedMemory
from tests.clocks import ManualClock

WORKERS = 4
KILLED = 2
KEYS = ("{user:a}minute {user:b}minute", "{user:a}minute {user:a}hour")  # in two buckets, and in one, which is quicker


def windows(keys: str, burst: int) -> list[Window]:
    return [Window(key, "user-minute", Rate(60, "minute", burst=burst)) for key in keys.split()]


class Taking:
    """What a worker does: by turns from each bundle, in passing where that does."""

    def __init__(self, memory: SharedMemory, orders: list[list[Window]]) -> None:
        self._counters = SharedCounters(memory, ManualClock())
        self._bundles = [Bundle([Window(each.key, each.name, each.rate) for each in order]) for order in orders]
        self._turn = 0

    def admitted(self) -> bool:
        bundle = self._bundles[self._turn % len(self._bundles)]
        self._turn += 1
        if self._counters.take_in_passing(bundle, 1_000.0):
            return True
        return all(tally.admitted for tally in self._counters.judge(bundle.each))


def worker(memory: SharedMemory, gate: int, report: int, orders: list[list[Window]]) -> None:
    """Once the gate falls, takes in these orders by turns until refused; reports a byte for each that was admitted."""
    taking = Taking(memory, orders)
    os.read(gate, 1)
    while taking.admitted():
        os.write(report, b"x")


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


def tenant(memory: SharedMemory, told: int, report: int, orders: list[list[Window]]) -> None:
    """Takes until it is refused, the memory kept or shared as it is told from time to time; reports that, too."""
    taking = Taking(memory, orders)
    while taking.admitted():
        os.write(report, b"x")
        if select.select([told], [], [], 0)[0] and (word := os.read(told, 1)):
            if word == b"k":
                assert memory.keep()
            else:
                memory.share()
            os.write(report, word)


def guest(memory: SharedMemory, told: int, report: int, orders: list[list[Window]]) -> None:
    """Takes until it is refused, or told to go."""
    taking = Taking(memory, orders)
    while taking.admitted():
        os.write(report, b"x")
        if select.select([told], [], [], 0)[0]:  # its other end was closed
            return


class Reports:
    """What comes from a child, counted."""

    def __init__(self, work: Callable[[SharedMemory, int, int, list[list[Window]]], None], *arguments: Any) -> None:
        memory, orders = arguments
        told, self.tell = os.pipe()
        self._heard, report = socket.socketpair()
        report.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # hardly ahead of who reads
        self.admitted = 0

        def alone() -> None:
            os.close(self.tell)
            self._heard.close()
            work(memory, told, report.fileno(), orders)

        self.pid = forked(alone)
        os.close(told)
        report.close()

    def until(self, word: bytes = b"", most: int = sys.maxsize) -> bool:
        """Whether it said the word, or admitted so many more, before it ended."""
        before = self.admitted
        while self.admitted < before + most:
            said = self._heard.recv(64)
            self.admitted += said.count(b"x")
            if not said:
                return False
            if word and word in said:
                return True
        return True

    def end(self) -> int:
        """How many it admitted, once it ended."""
        os.close(self.tell)
        while self.until():
            pass
        os.waitpid(self.pid, 0)
        self._heard.close()
        return self.admitted


def tenancy(orders: list[list[Window]], rng: random.Random) -> int:
    """One is alone, shares with a guest, and is alone again, over and over, until all is taken."""
    memory = SharedMemory.create(1_000)
    tenant_, admitted, going = Reports(tenant, memory, orders), 0, True
    with suppress(BrokenPipeError):
        while going and tenant_.until(most=rng.randint(1, 20)):
            os.write(tenant_.tell, b"k")
            going = tenant_.until(b"k") and tenant_.until(most=rng.randint(1, 20))
            os.write(tenant_.tell, b"s")
            if going and tenant_.until(b"s"):
                beside = Reports(guest, memory, orders)
                for _ in range(rng.randint(1, 20)):
                    going = beside.until(most=1) and tenant_.until(most=1)  # so both go on
                admitted += beside.end()
    admitted += tenant_.end()
    memory.close()
    return admitted


def death(orders: list[list[Window]], rng: random.Random) -> int:
    """One that is alone is killed, while another waits that nobody told of it."""
    memory = SharedMemory.create(1_000)
    tenant_ = Reports(tenant, memory, orders)
    os.write(tenant_.tell, b"k")
    kept = tenant_.until(b"k") and tenant_.until(most=rng.randint(1, 20))
    waiting = Reports(guest, memory, orders)
    kept = kept and tenant_.until(most=rng.randint(1, 20))
    os.kill(tenant_.pid, signal.SIGSTOP)
    os.waitpid(tenant_.pid, os.WUNTRACED)
    assert not kept or not select.select([waiting._heard], [], [], 0.01)[0], "it took what somebody else kept"
    os.kill(tenant_.pid, signal.SIGKILL)
    waiting.until()
    admitted = tenant_.end() + waiting.end()
    memory.close()
    return admitted


def main(kind: str, rounds: int) -> None:
    rng = random.Random(kind)
    results: list[tuple[int, int]] = []
    for number in range(rounds):
        burst = rng.randint(1, 400) if kind in ("race", "kill") else rng.randint(400, 800)
        both = windows(KEYS[number % 2], burst)
        # One who takes in one order all the time has the numbers at hand while it is alone.
        orders = [both] if number % 4 == 1 else [both, both[::-1]]
        after = rng.randint(0, burst) if kind == "kill" else None
        if kind == "tenancy":
            admitted = tenancy(orders, rng)
        else:
            admitted = death(orders, rng) if kind == "death" else run(burst, orders, after)
        results.append((burst, admitted))
    print(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
