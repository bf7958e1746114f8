"""What systemd wants to hear (sd_notify(3)); silent where nobody listens."""

import socket
from collections.abc import Mapping


def notify(environ: Mapping[str, str], *states: str) -> None:
    """Send `READY=1` and the like to the service manager; failing to is no reason to stop serving."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.sendto("\n".join(states).encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)
        except OSError:
            return
