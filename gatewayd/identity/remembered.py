"""What operators decided, on disk: a daemon that starts while its ledger is away still knows who was revoked.

Everything here blocks for as long as a disk takes: call it in a thread.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

import orjson

from gatewayd.model import Directory, Revocation

Thing = TypeVar("Thing")

FILE: Final = "directory.json"
_VERSION: Final = 1
_UNKNOWN: Final = 0  # of the ledger's; its next answer is taken as a whole
_AT_ONCE: Final = 2_000


class DirectoryFile:
    """One document in a state directory, replaced as a whole by whichever worker hears of a change."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / FILE

    def read(self) -> Directory | None:
        """What was kept last; None if nothing readable was."""
        try:
            document = orjson.loads(self._path.read_bytes())
            if document["version"] != _VERSION:
                return None
            revocations = tuple(Revocation(kind, subject, until) for kind, subject, until in document["revocations"])
            return Directory(_UNKNOWN, dict(document["plans"]), revocations)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, directory: Directory) -> None:
        """Raises OSError."""
        draft = self._path.with_name(f".{FILE}.{os.getpid()}")
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.writelines(_pieces(directory))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
        except OSError:
            with suppress(OSError):
                draft.unlink()
            raise


def _pieces(directory: Directory) -> Iterator[bytes]:
    """One JSON document, so much of it at once that nobody else in the process waits long for it."""
    yield b'{"version":%d,"plans":{' % _VERSION
    yield from _joined(orjson.dumps(dict(some)) for some in _some(directory.plans.items()))
    yield b'},"revocations":['
    yield from _joined(orjson.dumps([tuple(each) for each in some]) for some in _some(directory.revocations))
    yield b"]}"


def _joined(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Without the brackets around each of them."""
    for number, piece in enumerate(pieces):
        yield (b"," if number else b"") + piece[1:-1]


def _some(things: Iterable[Thing]) -> Iterator[list[Thing]]:
    each = iter(things)
    while some := list(islice(each, _AT_ONCE)):
        yield some
