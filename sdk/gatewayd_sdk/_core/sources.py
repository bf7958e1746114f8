"""Where the bytes of an upload come from: memory, a file, a stream. Only what was given whole is held whole."""

import os
import stat
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import IO, Final, Protocol, TypeAlias, cast

from gatewayd_sdk._core.errors import ConfigurationError

PIECE: Final = 64 * 1024
File: TypeAlias = str | os.PathLike[str] | bytes | IO[bytes] | Iterable[bytes]
AsyncFile: TypeAlias = File | AsyncIterable[bytes]


class Source(Protocol):
    """Bytes to send. `size` is None when it is not known; `begun` says that some were taken."""

    name: str
    size: int | None
    replayable: bool
    begun: bool

    def pieces(self) -> Iterator[bytes] | AsyncIterator[bytes]: ...


class Bytes:
    """What is in memory anyway."""

    replayable = True
    begun = False

    def __init__(self, data: bytes) -> None:
        self.name = ""
        self.size: int | None = len(data)
        self._data = data

    def pieces(self) -> Iterator[bytes]:
        view = memoryview(self._data)
        return (bytes(view[start : start + PIECE]) for start in range(0, len(view), PIECE))


class PathFile:
    """A file by its path, opened anew for each attempt; exactly the bytes that it had when it was named are sent."""

    replayable = True
    begun = False

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._path = path
        with _reading(path):
            found = path.stat()
            if not stat.S_ISREG(found.st_mode):
                raise ConfigurationError(f"{path} is no regular file: open it, and give what you opened")
            with path.open("rb"):  # whether it may be read is better known before anything is sent
                pass
        self.size: int | None = found.st_size

    def pieces(self) -> Iterator[bytes]:
        left = self.size or 0
        with _reading(self._path), self._path.open("rb") as file:
            while left and (piece := file.read(min(PIECE, left))):
                left -= len(piece)
                yield piece
        if left:
            raise ConfigurationError(f"{self._path} became shorter while it was sent")


class Stream:
    """A file that somebody opened, from where it stands; sent again only if it can be wound back."""

    def __init__(self, file: IO[bytes]) -> None:
        name = getattr(file, "name", "")
        self.name = os.path.basename(name) if isinstance(name, str) else ""  # noqa: PTH119 - a word, not a path
        self.begun = False
        self._file = file
        self._start = _position(file)
        self.replayable = self._start is not None
        self.size: int | None = None if self._start is None else _length(file, self._start)

    def pieces(self) -> Iterator[bytes]:
        self.begun = True
        if self._start is not None:
            self._file.seek(self._start)
        while piece := _checked(self._file.read(PIECE)):
            yield piece


class Pieces:
    """Bytes piece by piece, as they come, once."""

    size: int | None = None
    replayable = False

    def __init__(self, given: Iterable[bytes] | AsyncIterable[bytes]) -> None:
        self.name = ""
        self.begun = False
        self._given = given

    def pieces(self) -> Iterator[bytes] | AsyncIterator[bytes]:
        self.begun = True
        if isinstance(self._given, AsyncIterable):
            return _checked_later(self._given)
        return (_checked(piece) for piece in self._given)


def source_of(file: AsyncFile) -> Source:
    """The source for what was given; raises ConfigurationError for what is none, or cannot be read."""
    if isinstance(file, bytes | bytearray | memoryview):
        return Bytes(bytes(file))
    if isinstance(file, str | os.PathLike):
        return PathFile(Path(file))
    if isinstance(file, AsyncIterable):
        return Pieces(file)
    if hasattr(file, "read"):
        return Stream(cast("IO[bytes]", file))
    if isinstance(file, Iterable):
        return Pieces(file)
    raise ConfigurationError(f"a path, bytes or a binary stream is needed, not {type(file).__name__}")


class _reading:  # noqa: N801 - used like a function
    """Turns the system's refusal to read a file into an error of ours."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError | ValueError):
            why = getattr(error, "strerror", None) or str(error)
            raise ConfigurationError(f"{self._path} cannot be read: {why}; for a text itself, give bytes") from error


def _position(file: IO[bytes]) -> int | None:
    try:
        return file.tell() if file.seekable() else None
    except (AttributeError, OSError):
        return None


def _length(file: IO[bytes], start: int) -> int:
    end = file.seek(0, os.SEEK_END)
    file.seek(start)
    return max(0, end - start)


def _checked(piece: object) -> bytes:
    if not isinstance(piece, bytes | bytearray | memoryview):
        raise ConfigurationError(f"the stream gives {type(piece).__name__}: open the file in binary mode")
    return bytes(piece)


async def _checked_later(given: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    async for piece in given:
        yield _checked(piece)
