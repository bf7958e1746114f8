"""Databases to measure with, each for as long as a `with` lasts."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from tests import postgres as wheel
from tests.bench.declare import Unavailable


@contextmanager
def sqlite() -> Iterator[str]:
    """The address of a ledger in a file that is not there yet."""
    with TemporaryDirectory(prefix="bench-") as folder:
        yield f"sqlite:{Path(folder) / 'ledger.db'}"


@contextmanager
def postgres(fsync: str) -> Iterator[str]:
    """The address of a ledger on a server of its own; with `fsync` "off" a commit waits for no disk."""
    if find_spec(wheel.PACKAGE) is None:
        raise Unavailable(f"{wheel.PACKAGE} is not installed")
    with TemporaryDirectory(prefix="bench-") as folder, patch.dict(wheel.OPTIONS, fsync=fsync):
        Path(folder).chmod(0o755)
        server = wheel.Server(Path(folder))
        server.start()
        try:
            yield f"postgresql:{server.space()}"
        finally:
            server.stop()
