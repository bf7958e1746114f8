"""A child as its supervisor knows it: its job, and what became of it."""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gatewayd.process.child import Work
from gatewayd.process.lines import Lines


@dataclass(frozen=True, slots=True)
class Job:
    """What a child does from its birth on, and the supervisor's sockets that it needs for that."""

    work: Work
    sockets: Sequence[socket.socket] = ()


class Child:
    """What the supervisor knows of one. Mutable: it may live several times."""

    def __init__(self, name: str, job: Job, *, awaited: bool) -> None:
        self.name = name
        self.job = job
        self.awaited = awaited  # somebody waits for its first life to be ready, and decides if that fails
        self.pid = 0
        self.ready = False
        self.idle = False
        self.failure = ""
        self.wanted = True  # when it dies, it is made again
        self.retired = False  # it ends by itself when nothing of it is needed any more
        self.restarts = 0
        self.born = 0.0
        self.pause: float | None = None  # before it was made the last time
        self.lines: Lines | None = None
        self.last: dict[str, Mapping[str, Any]] = {}  # its last answer to each question, in this life

    @property
    def alive(self) -> bool:
        return self.lines is not None

    def handed_over(self) -> dict[str, Any]:
        """For the program that this process becomes; the child is alive."""
        assert self.lines is not None
        return {"name": self.name, "pid": self.pid, "line": self.lines.fd}

    def describe(self) -> dict[str, Any]:
        """For operators."""
        state = ("serving" if self.ready else "starting") if self.alive else "dead"
        state = "retired" if self.retired and self.alive else state
        return {"name": self.name, "pid": self.pid, "state": state, "restarts": self.restarts}
