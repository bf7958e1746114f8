"""Disks that are full, or that nobody may write to, for daemons to stand on."""

import os
import resource
import subprocess
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Protocol

MIB = 1 << 20


class Disk(Protocol):
    """A directory to fill, for these processes at least; mutable, as disks are."""

    directory: Path

    def fill(self, processes: Collection[int]) -> None: ...

    def make_room(self, processes: Collection[int]) -> None: ...


class SmallDisk:
    """A file system of its own, in memory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def fill(self, processes: Collection[int] = ()) -> None:
        with suppress(OSError), (self.directory / "ballast").open("wb", buffering=0) as ballast:
            while True:
                ballast.write(bytes(4096))

    def make_room(self, processes: Collection[int] = ()) -> None:
        (self.directory / "ballast").unlink()


class ShortFiles:
    """Any directory: it is the processes that may not write beyond the beginning of a file (setrlimit(2))."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def fill(self, processes: Collection[int]) -> None:
        self._allow(processes, 16_384)

    def make_room(self, processes: Collection[int]) -> None:
        self._allow(processes, resource.RLIM_INFINITY)

    def _allow(self, processes: Collection[int], size: int) -> None:
        for process in processes:
            _, hard = resource.prlimit(process, resource.RLIMIT_FSIZE)
            resource.prlimit(process, resource.RLIMIT_FSIZE, (size, hard))


def mount(*arguments: str | Path) -> bool:
    return subprocess.run(["mount", *map(str, arguments)], capture_output=True, check=False).returncode == 0


def unmount(directory: Path) -> None:
    subprocess.run(["umount", "-l", str(directory)], check=True)


@cache
def may_mount() -> bool:
    """Whether tests may make file systems here; most machines let nobody but root."""
    return os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], check=False).returncode == 0


@contextmanager
def small_disk(directory: Path, size: int = 160 * MIB) -> Iterator[SmallDisk]:
    directory.mkdir()
    assert mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", directory)
    try:
        yield SmallDisk(directory)
    finally:
        unmount(directory)


@contextmanager
def short_files(directory: Path) -> Iterator[ShortFiles]:
    directory.mkdir()
    yield ShortFiles(directory)


@contextmanager
def read_only(directory: Path) -> Iterator[None]:
    """Nobody may write there, root neither."""
    assert mount("--bind", directory, directory)
    try:
        assert mount("-o", "remount,bind,ro", directory)
        yield
    finally:
        unmount(directory)
