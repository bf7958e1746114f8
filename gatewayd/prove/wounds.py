"""What was killed when, until all of it served again; and whether that explains what callers saw."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

from gatewayd.prove.configuration import Bought
from gatewayd.prove.daemon import Daemon
from gatewayd.prove.findings import Finding
from gatewayd.prove.load import Call

EXCUSED: Final = 1.0
"""A daemon that was whole again after so many seconds had no need to tell anybody that it cannot serve."""


@dataclass(slots=True)
class Wound:
    """A kill. Mutable: it heals, when all of the daemon serves again."""

    daemon: Daemon
    victim: str
    began: float
    healed: float = inf

    def touches(self, call: Call) -> bool:
        """Whether it was open for some of the call's time."""
        return self.began <= call.answer.ended and call.answer.sent <= self.healed

    def excuses(self, call: Call) -> bool:
        """A connection may break with its worker. An error status is forced by nothing but a long absence.

        It may be another daemon's: what that one has leased of an account, nobody else can say to be free.
        """
        if not self.touches(call):
            return False
        if not call.answer.whole:
            return call.listener is self.daemon and self.victim != "bookkeeper"
        return call.answer.status == 503 and self.healed - self.began > EXCUSED


def judge_errors(calls: Sequence[Call], wounds: Sequence[Wound], finding: Finding, *, ends: Bought) -> None:
    """Whatever was not an answer needs a wound that explains it; who bought what `ends` may be told 402."""
    for call in calls:
        answer = call.answer
        fine = answer.whole and (answer.status == 200 or (answer.status == 402 and call.user.bought == ends))
        if fine:
            continue
        if any(wound.excuses(call) for wound in wounds):
            finding.count("forced errors" if answer.whole else "broken connections")
        else:
            touching = ", ".join(wound.victim for wound in wounds if wound.touches(call)) or "nothing"
            finding.wrong("unforced errors", f"{call.user.name} ({touching} was killed): {answer.told}")
