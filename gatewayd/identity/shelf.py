"""A provider's keys on disk: kept over restarts, and the one place where a daemon's workers agree who asks for them.

Everything here blocks for as long as a disk takes: call it in a thread.
"""

import fcntl
import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple, Self

from gatewayd.config.settings import Provider

FOLDER: Final = "jwks"
_VERSION: Final = 1
_NOTES: Final = Struct(
    "<3d"
)  # written over in place: each time is whole, since no page is left between two of its bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """A provider's document, and when it was asked for (UTC seconds); `jwks_url` is where it was found."""

    asked_at: float
    jwks_url: str
    document: bytes

    def packed(self) -> bytes:
        header = json.dumps({"version": _VERSION, "asked_at": self.asked_at, "jwks_url": self.jwks_url})
        return header.encode() + b"\n" + self.document

    @classmethod
    def unpacked(cls, data: object) -> "Kept | None":
        """None for anything that `packed` did not write."""
        if not isinstance(data, bytes):
            return None
        header, _, document = data.partition(b"\n")
        try:
            members = json.loads(header)
            if members["version"] == _VERSION:
                return cls(float(members["asked_at"]), str(members["jwks_url"]), document)
        except (ValueError, KeyError, TypeError, RecursionError):
            pass
        return None


def name_of(provider: Provider) -> str:
    """What a provider's documents are called, here and where daemons share them."""
    return hashlib.sha256(f"{provider.issuer}\n{provider.jwks_url}".encode()).hexdigest()[:32]


class Shelf:
    """The files of one provider in a state directory."""

    def __init__(self, state_dir: Path, provider: Provider) -> None:
        self._folder = state_dir / FOLDER
        self._document = self._folder / f"{name_of(provider)}.keys"
        self._lock = self._folder / f"{name_of(provider)}.lock"

    def read(self) -> Kept | None:
        """What was kept last; None if nothing readable was. Raises OSError."""
        try:
            return Kept.unpacked(self._document.read_bytes())
        except FileNotFoundError:
            return None

    def write(self, kept: Kept) -> None:
        """Replace it as a whole. Raises OSError."""
        draft = self._folder / f".{self._document.name}.{os.getpid()}"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(kept.packed())  # not synced: other workers wait for it, and power loss costs a fetch only
            draft.replace(self._document)
        except OSError:
            with suppress(OSError):
                draft.unlink()
            raise

    def turn(self) -> "Turn":
        """To ask the provider, one worker at a time. Raises OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Turn(os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


class Notes(NamedTuple):
    """What a daemon's workers tell each other of their looks at a provider: when these began, in monotonic seconds.

    0 stands for never, and for whatever another boot of the machine left.
    """

    asked_at: float = 0.0
    """The last one that others have to keep their distance from."""
    ended_at: float = 0.0
    """The last one that is over, whatever came of it."""
    known_at: float = 0.0
    """The last one whose document is on the shelf."""


class Turn:
    """A worker's turn to ask, once it was taken; the kernel ends it with its holder. Mutable."""

    def __init__(self, file: int) -> None:
        self._file = file

    def take(self) -> bool:
        """Whether it is ours now. Raises OSError."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def notes(self, now: float) -> Notes:
        """What was noted last, by whichever worker; whoever has not got the turn may look too. Raises OSError."""
        data = os.pread(self._file, _NOTES.size, 0)
        if len(data) < _NOTES.size:
            return Notes()
        return Notes(*(each if 0 <= each <= now else 0.0 for each in _NOTES.unpack(data)))

    def note(self, notes: Notes) -> None:
        """Raises OSError."""
        os.pwrite(self._file, _NOTES.pack(*notes), 0)

    def end(self) -> None:
        """Let the next one; again is harmless."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
