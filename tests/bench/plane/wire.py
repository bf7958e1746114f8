"""The bytes that callers and agents of the benches say: made once, the same for every gateway."""

import hashlib
import hmac
import json
import time
from base64 import urlsafe_b64encode
from typing import Final

SECRET: Final = "a-secret-that-only-the-benches-know.-of-48-bytes"
HOST: Final = "gateway.bench"
REQUEST_BODY: Final = json.dumps({"task": "summarise", "text": "x" * 102, "tag": "end-of-request"}).encode()
"""160 bytes; the last ones occur nowhere else."""
REQUEST_END: Final = REQUEST_BODY[-16:]
ANSWER_BODY: Final = json.dumps({"result": "y" * 867, "status": "done", "tag": "end"}).encode()
"""913 bytes."""
ANSWER_END: Final = ANSWER_BODY[-16:]
LAST_CHUNK: Final = b"0\r\n\r\n"
ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    b"Date: Tue, 24 Nov 2026 05:00:00 GMT\r\nX-Usage-Quantity: 1\r\nCache-Control: no-store\r\n\r\n" % len(ANSWER_BODY)
) + ANSWER_BODY
LIFETIME: Final = 86_400


class Tokens:
    """HS256 tokens of so many users, minted ahead and kept as one row of bytes: a million take 200 MB."""

    def __init__(self, users: int) -> None:
        row = bytearray()
        expires = int(time.time()) + LIFETIME
        header = _base64(b'{"alg":"HS256","typ":"JWT"}') + b"."
        keyed = hmac.new(SECRET.encode(), digestmod=hashlib.sha256)
        for number in range(users):
            signed = header + _base64(b'{"sub":"user-%07d","iss":"bench","exp":%d}' % (number, expires))
            mac = keyed.copy()
            mac.update(signed)
            row += signed + b"." + _base64(mac.digest())
        self.users = users
        self._row = bytes(row)
        self._length = len(row) // users

    def __getitem__(self, number: int) -> bytes:
        return self._row[number * self._length : (number + 1) * self._length]


def _base64(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def jwks() -> str:
    """The secret as the key set that Envoy reads."""
    key = {"kty": "oct", "alg": "HS256", "k": _base64(SECRET.encode()).decode()}
    return json.dumps({"keys": [key]})


def post(path: str) -> tuple[bytes, bytes]:
    """A call's bytes before its token and after it."""
    before = f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: bench\r\nAccept: */*\r\nAuthorization: Bearer "
    after = f"\r\nContent-Type: application/json\r\nContent-Length: {len(REQUEST_BODY)}\r\n\r\n"
    return before.encode(), after.encode() + REQUEST_BODY


def get(path: str, token: bytes) -> bytes:
    return b"GET %b HTTP/1.1\r\nHost: %b\r\nAuthorization: Bearer %b\r\n\r\n" % (path.encode(), HOST.encode(), token)
