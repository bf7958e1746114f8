"""How each agent is, as its last calls show: nobody asks an agent anything for this."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from gatewayd.admin.counts import Counts
from gatewayd.errors import (
    UpstreamConnect,
    UpstreamProtocol,
    UpstreamReset,
    UpstreamTimeout,
)

State = Literal["quiet", "up", "failing", "down"]

EVIDENCE: Final = 10.0
"""Seconds of calls that an agent is judged by."""
_FAILING: Final = 0.05  # of its calls
_OWN_5XX: Final = "5xx"
_WORDS: Final = {
    UpstreamConnect.code: "cannot be reached",
    UpstreamTimeout.code: "does not answer in time",
    UpstreamReset.code: "breaks off",
    UpstreamProtocol.code: "answers what is not HTTP",
    _OWN_5XX: "answers with errors of its own",
}


@dataclass(frozen=True, slots=True)
class AgentState:
    """`since` is in UTC seconds, 0 while nothing is known; `cause` says in words what most of its failures were."""

    state: State = "quiet"
    since: float = 0.0
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What calls say of an agent: how many it answered well, and how many not, by what happened."""

    good: int
    bad: Mapping[str, int]

    @classmethod
    def of(cls, route: str, lately: Counts) -> "Evidence":
        """A gateway's refusal says nothing of the agent, nor does a caller that left."""
        counts = lately.of(route)
        coded = [(code, status, count) for (name, code, status), count in lately.codes.items() if name == route]
        broke: Counter[str] = Counter()
        for code, _, count in coded:
            if code in _WORDS:
                broke[code] += count
        theirs = counts.failed - sum(count for _, status, count in coded if status >= 500)
        if theirs > 0:
            broke[_OWN_5XX] = theirs
        good = counts.total - counts.failed - sum(count for _, status, count in coded if status < 500)
        return cls(max(0, good), broke)

    def judge(self) -> tuple[State, str] | None:
        """None if there were no calls to judge by."""
        failures = sum(self.bad.values())
        if not failures and not self.good:
            return None
        cause = _WORDS[max(self.bad, key=lambda code: self.bad[code])] if self.bad else ""
        if failures and not self.good:
            return "down", cause
        return ("failing", cause) if failures >= _FAILING * (failures + self.good) else ("up", "")


class AgentStates:
    """Mutable: an agent stays as it was until its calls say something else."""

    def __init__(self) -> None:
        self.known: dict[str, AgentState] = {}

    def learn(self, routes: Iterable[str], lately: Counts, utc: float) -> None:
        """How these agents are after the last calls; others are forgotten."""
        self.known = {name: self._learn(name, lately, utc) for name in routes}

    def _learn(self, route: str, lately: Counts, utc: float) -> AgentState:
        before = self.known.get(route, AgentState())
        if (found := Evidence.of(route, lately).judge()) is None:
            return before
        state, cause = found
        return AgentState(state, before.since if before.state == state else utc, cause)
