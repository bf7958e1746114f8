"""A child of the supervisor: how it is made, and its line to where it came from.

The line carries JSON, one message a line. The supervisor says {"tell": "drain" | "end" | "cut"}, {"call": name} and
{"ask": name, "id": number}; a child says {"ready": true} once, {"failed": words} before it ends for a reason that it
knows, {"idle": true} when a drain has let everything end, and {"answer": …, "id": number}.
"""

import asyncio
import ctypes
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final, NoReturn

import orjson

from gatewayd.errors import GatewayError
from gatewayd.process.reactor import SIGNALS

logger = logging.getLogger(__name__)

ORPHANED: Final = 70  # the exit code of a child whose supervisor is gone
_MAX_LINE: Final = 64 * 1024
_PR_SET_PDEATHSIG: Final = 1  # prctl(2)

Answer = Callable[[], Awaitable[Mapping[str, Any]]]


class Link:
    """A child's end of the line. Mutable: what it was told stays told."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.answers: dict[str, Answer] = {}
        self.calls: dict[str, Callable[[], None]] = {}
        self.draining = asyncio.Event()
        self.ending = asyncio.Event()
        self.cut = asyncio.Event()

    def ready(self) -> None:
        """What this child is for, it does from now on."""
        self._say({"ready": True})

    def idle(self) -> None:
        """Nothing is in flight any more and nothing comes."""
        self._say({"idle": True})

    async def listen(self) -> None:
        """Answer until the supervisor is gone; then end this process, at once."""
        while line := await self._reader.readline():
            message = orjson.loads(line)
            if (name := message.get("ask")) is not None:
                self._say({"answer": await self._answer(name), "id": message["id"]})
            elif (name := message.get("call")) is not None:
                self.calls.get(name, lambda: None)()
            else:
                self._told(message["tell"])
        os._exit(ORPHANED)

    async def _answer(self, name: str) -> Mapping[str, Any]:
        """Nothing, if that cannot be told: a question must not end what this child is for."""
        try:
            return await self.answers[name]() if name in self.answers else {}
        except Exception:
            logger.exception("the supervisor's question for %s could not be answered", name)
            return {}

    def _told(self, word: str) -> None:
        for known, event in (("drain", self.draining), ("end", self.ending), ("cut", self.cut)):
            event.set()  # each means those before it, too
            if word == known:
                return

    def _say(self, message: Mapping[str, Any]) -> None:
        self._writer.write(orjson.dumps(message) + b"\n")


Work = Callable[[Link], Coroutine[Any, Any, None]]
Run = Callable[[Coroutine[Any, Any, None]], None]


def fork(work: Work, run: Run, forget: Callable[[], None]) -> tuple[int, socket.socket]:
    """A child that does `work` in an event loop of its own (`run` makes it): its number and our end of its line.

    `forget` is called in the child, to let go of what is the supervisor's alone. The parent must have one thread.
    """
    ours, theirs = socket.socketpair()
    parent = os.getpid()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # until it is clear whose signals they are
    try:
        pid = os.fork()
        if not pid:
            ours.close()
            _live(work, run, forget, theirs, parent)
    except OSError:
        ours.close()
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
    return pid, ours


def _live(work: Work, run: Run, forget: Callable[[], None], line: socket.socket, parent: int) -> NoReturn:
    """The whole life of a child; whatever happens in it, nothing of the parent's is tidied up here."""
    try:
        signal.set_wakeup_fd(-1)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # a terminal and systemd send them to all; the supervisor decides
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        _die_with(parent)
        forget()
        gc.freeze()  # what was inherited stays shared, and no collection looks through it
        run(_linked(work, line))
    except BaseException:
        logger.exception("a child process ended by an error")
    finally:
        os._exit(1)


def _die_with(parent: int) -> None:
    """The kernel ends us when the supervisor dies, however it dies (prctl(2)); elsewhere the line's end tells."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(ORPHANED)


async def _linked(work: Work, line: socket.socket) -> None:
    """Work, listen to the supervisor meanwhile, and end the process: its loop has nothing left to tidy up."""
    with line.dup() as last_words:
        link = Link(*await asyncio.open_connection(sock=line, limit=_MAX_LINE))
        listening = asyncio.ensure_future(link.listen())
        try:
            await work(link)
        except GatewayError as error:
            last_words.setblocking(True)
            last_words.sendall(orjson.dumps({"failed": str(error)}) + b"\n")
            os._exit(1)
        listening.cancel()
        os._exit(0)
