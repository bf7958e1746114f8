"""A daemon that becomes another program without letting go of anything: the process, its sockets and its children stay.

The supervisor replaces itself (execve(2)) by the new executable, which finds in the environment what it has: sockets
that listen, lines to workers of the old program, and the memory in which they count. It makes workers of its own, and
has the old ones finish what they serve. So the process id stays, and whoever started the daemon notices nothing.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import orjson

from gatewayd.errors import StartError

VARIABLE: Final = "GATEWAYD_HANDOVER"
"""Names the descriptor of the file that says what is handed over."""
REHEARSE: Final = "--rehearse"
"""The option of `start` with which a program says that it could take over, and does nothing."""
_FORM: Final = 1
_REHEARSAL_PATIENCE: Final = 20.0


@dataclass(frozen=True, slots=True)
class Handover:
    """What one program leaves to the next; numbers are descriptors. Later versions read what earlier ones wrote."""

    generation: int
    image: int
    lock: int
    control: int
    books: int
    operators: Sequence[int]
    admin: str
    listeners: Sequence[Mapping[str, Any]]
    children: Sequence[Mapping[str, Any]]
    counters: Mapping[str, Any]
    counted: Mapping[str, Any]

    @property
    def descriptors(self) -> list[int]:
        """All that must stay open."""
        own = [self.lock, self.control, self.books, *self.operators, self.counters["fd"]]
        lines = [child["line"] for child in self.children]
        sheets = [child["sheet"]["fd"] for child in self.children if child["sheet"]]
        return [*own, *(each["fd"] for each in self.listeners), *lines, *sheets]


def rehearse(command: Sequence[str], environ: Mapping[str, str]) -> str:
    """What the program says of itself, which has judged its configuration and could take over. Raises StartError."""
    own = {name: value for name, value in environ.items() if name != VARIABLE}
    try:
        found = subprocess.run(  # noqa: S603  # the operator's own
            [*command, REHEARSE], env=own, capture_output=True, text=True, timeout=_REHEARSAL_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StartError(f"{command[0]} cannot be run: {error}") from None
    if found.returncode:
        raise StartError((found.stderr.strip() or f"{command[0]} cannot take over").splitlines()[-1])
    return found.stdout.strip()


def become(command: Sequence[str], environ: Mapping[str, str], handover: Handover) -> NoReturn:
    """Be that program from now on. Raises StartError if it cannot be begun, and has changed nothing then.

    Whoever calls has signals `held`, and they wait until it hears them: they would end it before.
    """
    fd = os.memfd_create("gatewayd-handover", os.MFD_CLOEXEC)
    parts = {name: getattr(handover, name) for name in Handover.__slots__}
    os.write(fd, orjson.dumps({"form": _FORM, **parts}))
    for each in (fd, *handover.descriptors):
        os.set_inheritable(each, True)
    try:
        os.execvpe(command[0], list(command), {**environ, VARIABLE: str(fd)})  # noqa: S606
    except OSError as error:
        for each in handover.descriptors:
            os.set_inheritable(each, False)
        os.close(fd)
        raise StartError(f"{command[0]} cannot be run: {error.strerror}") from None


def handed_over(environ: Mapping[str, str]) -> Handover | None:
    """What an earlier program of this process left, if there was one. Raises StartError if it cannot be read."""
    if not (number := environ.get(VARIABLE, "")).isdecimal():
        return None
    fd = int(number)
    document = orjson.loads(os.pread(fd, os.fstat(fd).st_size, 0))
    os.close(fd)
    if document.pop("form") != _FORM:
        raise StartError("what the older gatewayd handed over is not understood by this one")
    handover = Handover(**document)
    for each in handover.descriptors:
        os.set_inheritable(each, False)
    return handover


def listening(fd: int) -> socket.socket:
    """The socket behind a descriptor that was handed over."""
    sock = socket.socket(fileno=fd)
    sock.setblocking(False)
    return sock


def own_command() -> list[str]:
    """How this very program was started."""
    return [sys.executable, *sys.orig_argv[1:]]
