"""What operators have the daemon do, noted in its audit log: who, by the kernel's word, and from where."""

import logging
import os
import pwd
import signal
import socket
import struct
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

from gatewayd.audit import action_line, append
from gatewayd.clock import Clock
from gatewayd.outlets import LinesLost
from gatewayd.process.course import Course

logger = logging.getLogger(__name__)

TOLD: Final = frozenset({"account set", "revoke", "ledger release"})
"""What commands do by themselves, in the ledger, and have the daemon note."""
HERE: Final = "control socket"
_MOST: Final = 256  # characters of what a command says of itself
_MOST_SUBJECT: Final = 4 * 1024  # bytes of what it says it was done to
_CREDENTIALS: Final = struct.Struct("3i")  # unix(7), SO_PEERCRED: pid, uid, gid


class Peer(NamedTuple):
    """Who is at the other end of a socket, as the kernel knows it: nobody can say he were another."""

    pid: int
    uid: int

    @classmethod
    def of(cls, sock: socket.socket) -> "Peer | None":
        """None where the system does not tell."""
        if not hasattr(socket, "SO_PEERCRED"):
            return None
        pid, uid, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        return cls(pid, uid)


def account(uid: int) -> str:
    """What a user of this machine is called."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def named(user: str, sudo: str) -> str:
    """Who did something, for the audit log: as whom, and who that is behind sudo, if anybody."""
    return f"{user} (sudo by {sudo})" if sudo else user


class Actions:
    """Writes where `audit_log.file` says, which may change while the daemon runs. Blocks for as long as that takes."""

    def __init__(self, course: Course, clock: Clock) -> None:
        self._course = course  # whose settings say where
        self._clock = clock

    def note(
        self, action: str, words: Mapping[str, Any], subject: Mapping[str, object], *, result: str = "done"
    ) -> None:
        """What was done for whoever said these `words` on the control socket."""
        peer = words.get("peer")
        by = named(account(peer.uid) if peer is not None else "somebody", _said(words, "sudo"))
        kernel = {"uid": peer.uid, "pid": peer.pid} if peer is not None else {}
        self._write(action, {**subject, **kernel}, by, _said(words, "origin") or HERE, result)

    def note_signal(self, action: str, number: int, subject: Mapping[str, object], *, result: str = "done") -> None:
        """What a signal had it do: that does not say who sent it, but only this user and root can."""
        by = f"{account(os.geteuid())} or root"
        self._write(action, subject, by, signal.Signals(number).name, result)

    def told(self, words: Mapping[str, Any]) -> dict[str, object]:
        """Note what a command says it has done, and answer it."""
        subject = words.get("subject")
        if words.get("action") not in [*TOLD] or not isinstance(subject, dict) or not _is_short(subject):
            return {"error": f"what is noted is {', '.join(sorted(TOLD))}, and a few words of what it was done to"}
        self.note(words["action"], words, subject)
        return {"noted": True}

    def _write(self, action: str, subject: Mapping[str, object], by: str, origin: str, result: str) -> None:
        target = self._course.settings.audit_log.file
        line = action_line(self._clock.utc(), action, subject, by=by, origin=origin, result=result)
        try:
            append(target, line)
        except LinesLost as error:  # it is done all the same
            logger.warning("audit_log.file: %s cannot be written: %s", target or "standard error", error)


def _said(words: Mapping[str, Any], name: str) -> str:
    said = words.get(name)
    return said[:_MOST] if isinstance(said, str) else ""


def _is_short(subject: Mapping[str, object]) -> bool:
    plain = all(value is None or isinstance(value, str | int | float) for value in subject.values())
    return plain and len(orjson.dumps(subject)) <= _MOST_SUBJECT
