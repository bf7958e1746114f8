"""How a stream is ended before its time without looking broken: by its own protocol, with a hint when to come again."""

import secrets
from collections.abc import Iterable
from typing import Final

GOING_AWAY: Final = 1001  # RFC 6455 section 7.4.1
SERVICE_RESTART: Final = 1012  # IANA's registry of close codes: reconnect, after a while of 5 to 30 s if many do
_REASON: Final = b"the gateway restarts, come again"
_CLOSE: Final = 0x88  # FIN, and the opcode of a Close
_MASKED: Final = 0x80

RETRY_EVENT: Final = b": the gateway restarts\nretry: 1000\n\n"
"""https://html.spec.whatwg.org/multipage/server-sent-events.html: a comment, and milliseconds until reconnection."""
_EVENT_ENDS: Final = (b"\n\n", b"\r\r", b"\r\n\r\n")


def close_frame(code: int, *, masked: bool = False) -> bytes:
    """A WebSocket's Close; `masked` for what goes to an agent (RFC 6455 section 5.1)."""
    payload = code.to_bytes(2) + _REASON
    if not masked:
        return bytes([_CLOSE, len(payload)]) + payload
    mask = secrets.token_bytes(4)
    hidden = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return bytes([_CLOSE, _MASKED | len(payload)]) + mask + hidden


def is_between_events(fields: Iterable[tuple[bytes, bytes]], last: bytes) -> bool:
    """Whether an answer with these fields is server-sent events in the clear, of which the last one was whole."""
    named = [(name.lower(), value.partition(b";")[0].strip().lower()) for name, value in fields]
    kinds = [value for name, value in named if name == b"content-type"]
    coded = any(name == b"content-encoding" and value != b"identity" for name, value in named)
    return kinds == [b"text/event-stream"] and not coded and last.endswith(_EVENT_ENDS)
