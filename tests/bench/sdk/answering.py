"""`python -m tests.bench.sdk.answering`: answers every call alike, as the support agent behind a gateway does."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]
REPLY: Final = {
    "session": "ses_0123456789abcdef",
    "turn": 1,
    "intent": "order_status",
    "confidence": 0.83,
    "reasons": ["order", "where"],
    "reply": "Your order is on its way. " * 25,
    "suggested_action": "show_order",
    "ticket": None,
}
BODY: Final = json.dumps(REPLY).encode()
ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nX-Request-ID: 0123456789abcdef01234567\r\n"
    b'RateLimit-Policy: "user-minute";q=60;w=60\r\nRateLimit: "user-minute";r=59;t=1\r\n'
    b"Date: Sun, 29 Nov 2026 12:00:00 GMT\r\nContent-Length: %d\r\n\r\n" % len(BODY)
) + BODY


class Answering(asyncio.Protocol):
    """One request at a time, each with a Content-Length."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._data = b""

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, found, body = self._data.partition(b"\r\n\r\n")
        if found and len(body) >= int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]):
            self._data = b""
            assert isinstance(self._transport, asyncio.Transport)
            self._transport.write(ANSWER)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)  # until whoever asks is gone
    server.close()


@contextmanager
def answering() -> Iterator[str]:
    """Its URL, from a process of its own."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
    command = (sys.executable, "-m", __name__)
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, text=True, env={**os.environ, "PYTHONPATH": path}
    ) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        assert server.stdin is not None
        server.stdin.close()


if __name__ == "__main__":
    asyncio.run(main())
