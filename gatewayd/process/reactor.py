"""What a process without an event loop waits for: sockets, times and signals, one thing after the other."""

import selectors
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from gatewayd.clock import Clock

READ: Final = selectors.EVENT_READ
WRITE: Final = selectors.EVENT_WRITE

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)

_MOST_TOLD: Final = 65_536  # bytes, each a signal: no fewer than the socket holds of those that came one by one

Call = Callable[[], None]


class Timer:
    """Something to be done at a time. Mutable: it can be called off."""

    __slots__ = ("call", "when")

    def __init__(self, when: float, call: Call) -> None:
        self.when = when
        self.call: Call | None = call

    def cancel(self) -> None:
        self.call = None


class Reactor:
    """Calls who waits for a socket or a time, when it has come. Mutable by nature; for one thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._timers: list[Timer] = []

    def watch(self, sock: socket.socket, call: Call, events: int = READ) -> None:
        """Call whenever the socket can be read (or written); again for the same socket, it takes the other's place."""
        if sock in self._selector.get_map():
            self._selector.modify(sock, events, call)
        else:
            self._selector.register(sock, events, call)

    def forget(self, sock: socket.socket) -> None:
        """Close a socket that was watched."""
        self._selector.unregister(sock)
        sock.close()

    def later(self, delay: float, call: Call) -> Timer:
        """Call once, after so many seconds."""
        timer = Timer(self._clock.monotonic() + delay, call)
        self._timers.append(timer)
        return timer

    def until(self, done: Callable[[], bool], patience: float | None = None) -> bool:
        """Serve until it is done, or for so many seconds at most; whether it is done."""
        out_of_time = self.later(patience, lambda: None) if patience is not None else None
        while not done():
            if out_of_time is not None and self._clock.monotonic() >= out_of_time.when:
                break
            self._turn()
        if out_of_time is not None:
            out_of_time.cancel()
        return done()

    def _turn(self) -> None:
        for key, _ in self._selector.select(self._time_left()):
            if self._selector.get_map().get(key.fd) is key:  # nobody has closed it in this turn
                key.data()
        now = self._clock.monotonic()
        due = [timer for timer in self._timers if timer.when <= now]
        self._timers = [timer for timer in self._timers if timer.when > now]
        for timer in due:
            if timer.call is not None:
                timer.call()

    def _time_left(self) -> float | None:
        self._timers = [timer for timer in self._timers if timer.call is not None]
        times = [timer.when for timer in self._timers]
        return max(0.0, min(times) - self._clock.monotonic()) if times else None

    def abandon(self) -> None:
        """In a child after a fork: let go of all that its parent waits for, without a change for the parent."""
        sockets = [key.fileobj for key in self._selector.get_map().values()]
        self._selector.close()
        for sock in sockets:
            assert isinstance(sock, socket.socket)
            sock.close()

    def close(self) -> None:
        """End; whatever is still watched is closed."""
        self.abandon()


@contextmanager
def held() -> Iterator[None]:
    """Let SIGNALS wait for the end of a `with`, or for the program that this process becomes in it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def hearing(reactor: Reactor, heard: Callable[[int], None]) -> Iterator[Call]:
    """Have the numbers of SIGNALS told within a `with`, as something that the reactor waits for.

    Whoever does not wait for it, and is to hear what has been told by now, calls what this gives.
    """
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    before = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}
    wakeup = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)

    def read() -> None:
        with suppress(BlockingIOError):
            for number in ours.recv(_MOST_TOLD):
                heard(number)

    reactor.watch(ours, read)
    try:
        yield read
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        reactor.forget(ours)
        theirs.close()
