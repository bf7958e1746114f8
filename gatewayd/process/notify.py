"""What systemd wants to hear (sd_notify(3)); silent where nobody listens."""

import os
import socket
from collections.abc import Mapping, Sequence


def notify(environ: Mapping[str, str], *states: str) -> None:
    """Send `READY=1` and the like to the service manager; failing to is no reason to stop serving."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address[0] == "@":  # an abstract socket (unix(7))
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.setblocking(False)
        try:
            sock.sendto("\n".join(states).encode(), address)
        except OSError:
            return


def reloading(monotonic: float) -> tuple[str, str]:
    """What Type=notify-reload waits for: that it began, and when by CLOCK_MONOTONIC; READY=1 says that it is over."""
    return "RELOADING=1", f"MONOTONIC_USEC={int(monotonic * 1_000_000)}"


def serving(places: Sequence[str]) -> tuple[str, str]:
    """That callers are served at these places; it ends a reload too."""
    return "READY=1", f"STATUS=serving on {', '.join(places)}"


def watchdog_period(environ: Mapping[str, str]) -> float | None:
    """How often WATCHDOG=1 is to be said, in seconds: twice as often as it must be (sd_watchdog_enabled(3))."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()) or not environ.get("NOTIFY_SOCKET"):
        return None
    usec = environ.get("WATCHDOG_USEC", "")
    return int(usec) / 2_000_000 if usec.isdecimal() and int(usec) else None
