"""What was killed when, until all of it served again; and whether that explains what callers saw."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

from gatewayd.prove.configuration import Bought, Price
from gatewayd.prove.daemon import Daemon
from gatewayd.prove.findings import Finding
from gatewayd.prove.load import Call

EXCUSED: Final = 1.0
"""A daemon that was whole again after so many seconds had no need to tell anybody that it cannot serve."""

REFUSALS: Final = frozenset({402, 503})
"""Who was told so has used nothing."""


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


class Usage:
    """What calls had used of their users' quotas, by what callers saw and `charged` says, units by request id."""

    def __init__(self, calls: Sequence[Call], charged: Mapping[str, int]) -> None:
        self._charged = charged
        self._calls: defaultdict[str, list[Call]] = defaultdict(list)
        for call in calls:
            if call.answer.status not in REFUSALS:
                self._calls[call.user.name].append(call)

    def at_most(self, refused: Call) -> int:
        """At any moment of this call: one that had begun by its end held its units, unless it was over before it."""
        begun = (call for call in self._calls[refused.user.name] if call.answer.sent <= refused.answer.ended)
        return sum(self._of(call, over=call.answer.ended < refused.answer.sent) for call in begun)

    def _of(self, call: Call, *, over: bool) -> int:
        held = Price.of(call.target).held
        return self._charged.get(call.answer.id, held) if over and call.answer.whole else held

    def allows(self, refused: Call) -> bool:
        """Whether its user may have come to the end of the quota."""
        return self.at_most(refused) + Price.of(refused.target).held > refused.user.bought.quota


def judge_errors(
    calls: Sequence[Call], wounds: Sequence[Wound], charged: Mapping[str, int], finding: Finding, *, ends: Bought
) -> None:
    """Whatever was not an answer needs a wound that explains it; who bought what `ends` may be told 402 at its end."""
    usage = Usage(calls, charged)
    for call in calls:
        answer = call.answer
        if answer.whole and (answer.status == 200 or _is_due(call, usage, ends)):
            continue
        if any(wound.excuses(call) for wound in wounds):
            finding.count("forced errors" if answer.whole else "broken connections")
        else:
            touching = ", ".join(wound.victim for wound in wounds if wound.touches(call)) or "nothing"
            finding.wrong("unforced errors", f"{call.user.name} ({touching} was killed): {answer.told}")


def _is_due(call: Call, usage: Usage, ends: Bought) -> bool:
    return call.answer.status == 402 and call.user.bought == ends and usage.allows(call)
