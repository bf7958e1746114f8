"""What operators decided, on disk: a daemon that starts while its ledger is away still knows who was revoked.

Everything here blocks for as long as a disk takes: call it in a thread.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import orjson

from gatewayd.model import Directory, Revocation

FILE: Final = "directory.json"
_VERSION: Final = 1
_UNKNOWN: Final = -1  # of the ledger's; its next answer is taken as a whole


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
        revocations = [tuple(each) for each in directory.revocations]
        document = {"version": _VERSION, "plans": directory.plans, "revocations": revocations}
        draft = self._path.with_name(f".{FILE}.{os.getpid()}")
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(orjson.dumps(document))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
        except OSError:
            with suppress(OSError):
                draft.unlink()
            raise
