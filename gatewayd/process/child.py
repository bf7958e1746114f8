"""A child of the supervisor: how it is made, and its line to where it came from.

The line carries JSON, one message a line. The supervisor says {"tell": "retire" | "drain" | "end" | "cut"},
{"call": name}, {"ask": name, "id": number} and {"order": name, "with": …, "files": count, "id": number}, whose files
come with it. A child says {"ready": true} once, {"failed": words} before it ends for a reason that it knows,
{"idle": true} when a drain has let everything end, and {"answer": …, "id": number}. A supervisor that took an older
one's place speaks with children of that, so these words stay.
"""

import asyncio
import ctypes
import gc
import logging
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, NoReturn

import orjson

from gatewayd.errors import GatewayError
from gatewayd.process.reactor import SIGNALS

logger = logging.getLogger(__name__)

ORPHANED: Final = 70  # the exit code of a child whose supervisor is gone
_PIECE: Final = 64 * 1024
_MOST_FILES: Final = 250  # unix(7): SCM_MAX_FD is 253
_PR_SET_PDEATHSIG: Final = 1  # prctl(2)

Answer = Callable[[], Awaitable[Mapping[str, Any]]]
Order = Callable[[Any, Sequence[int]], Awaitable[Mapping[str, Any]]]
"""What came with the order, and the files, which are the order's to close."""


class Link:
    """A child's end of the line. Mutable: what it was told stays told."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._coming = b""
        self._files: deque[int] = deque()
        self._going = b""
        self._busy: set[asyncio.Task[None]] = set()
        self.answers: dict[str, Answer] = {}
        self.calls: dict[str, Callable[[], None]] = {}
        self.orders: dict[str, Order] = {}
        self.retiring = asyncio.Event()
        self.draining = asyncio.Event()
        self.ending = asyncio.Event()
        self.cut = asyncio.Event()

    def ready(self) -> None:
        """What this child is for, it does from now on."""
        self._say({"ready": True})

    def idle(self) -> None:
        """Nothing is in flight any more and nothing comes."""
        self._say({"idle": True})

    def listen(self) -> None:
        """Answer until the supervisor is gone; then end this process, at once."""
        self._loop.add_reader(self._sock.fileno(), self._read)

    def _read(self) -> None:
        try:
            data, files, _, _ = socket.recv_fds(self._sock, _PIECE, _MOST_FILES, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except OSError:
            data, files = b"", []
        if not data:
            os._exit(ORPHANED)
        self._files.extend(files)
        *lines, self._coming = (self._coming + data).split(b"\n")
        for line in lines:
            self._hear(orjson.loads(line))

    def _hear(self, message: Mapping[str, Any]) -> None:
        if (word := message.get("tell")) is not None:
            self._told(word)
            return
        if (name := message.get("call")) is not None:
            self.calls.get(name, lambda: None)()
            return
        files = [self._files.popleft() for _ in range(message.get("files", 0))]
        task = self._loop.create_task(self._serve(message, files))
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)

    async def _serve(self, message: Mapping[str, Any], files: Sequence[int]) -> None:
        if (name := message.get("ask")) is not None:
            answer = await self._answer(name)
        else:
            answer = await self._obey(message["order"], message["with"], files)
        self._say({"answer": answer, "id": message["id"]})

    async def _answer(self, name: str) -> Mapping[str, Any]:
        """Nothing, if that cannot be told: a question must not end what this child is for."""
        try:
            return await self.answers[name]() if name in self.answers else {}
        except Exception:
            logger.exception("the supervisor's question for %s could not be answered", name)
            return {}

    async def _obey(self, name: str, words: Any, files: Sequence[int]) -> Mapping[str, Any]:
        """`refused`, with the reason, if it cannot be done; then nothing of it was done."""
        try:
            return await self.orders[name](words, files)
        except GatewayError as error:
            return {"refused": str(error)}
        except Exception as error:
            logger.exception("the supervisor's order to %s could not be obeyed", name)
            return {"refused": f"a fault of gatewayd's own ({type(error).__name__}), see its log"}

    def _told(self, word: str) -> None:
        if word == "retire":
            self.retiring.set()
            return
        for known, event in (("drain", self.draining), ("end", self.ending), ("cut", self.cut)):
            event.set()  # each means those before it, too
            if word == known:
                return

    def _say(self, message: Mapping[str, Any]) -> None:
        self._going += orjson.dumps(message) + b"\n"
        self._write()

    def _write(self) -> None:
        try:
            self._going = self._going[self._sock.send(self._going) :]
        except BlockingIOError:
            pass
        except OSError:
            self._going = b""  # its hanging up is heard by reading
        if self._going:
            self._loop.add_writer(self._sock.fileno(), self._write)
        else:
            self._loop.remove_writer(self._sock.fileno())


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
    link = Link(line)
    link.listen()
    try:
        await work(link)
    except GatewayError as error:
        line.setblocking(True)
        line.sendall(orjson.dumps({"failed": str(error)}) + b"\n")
        os._exit(1)
    os._exit(0)
