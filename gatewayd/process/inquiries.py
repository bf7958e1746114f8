"""Questions and orders to several children at once: who has answered, who is late, and when that is enough."""

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gatewayd.process.hired import Child
from gatewayd.process.reactor import Reactor, Timer

Answers = Mapping[Child, Mapping[str, Any]]
Then = Callable[[Answers], None]
Messages = Mapping[Child, tuple[Mapping[str, Any], Sequence[int]]]
"""To each child its own, with the descriptors that go along."""


@dataclass(slots=True)
class _Inquiry:
    """A question that several children were asked. Mutable: answers come one by one."""

    name: str
    missing: set[Child]
    then: Then
    lasting: bool  # who is late stands with its last answer
    deadline: Timer
    found: dict[Child, Mapping[str, Any]] = field(default_factory=dict)


class Inquiries:
    """All that have not ended. Mutable by nature."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._open: dict[int, _Inquiry] = {}
        self._numbers = itertools.count(1)

    def begin(self, name: str, messages: Messages, then: Then, patience: float, *, lasting: bool) -> None:
        """Say them to all who are alive, and call `then` when all have answered or died, or after so many seconds.

        If it is `lasting`, one who is late stands with its last answer; else with none.
        """
        number = next(self._numbers)
        asked = [child for child in messages if child.lines is not None]
        deadline = self._reactor.later(patience, lambda: self._conclude(number))
        self._open[number] = _Inquiry(name, set(asked), then, lasting, deadline)
        for child in asked:
            message, files = messages[child]
            if child.lines is not None:
                child.lines.say({**message, "id": number}, files)
        self._conclude_if_complete(number)

    def heard(self, child: Child, message: Mapping[str, Any]) -> None:
        """It may be an answer, and may be the last that was missing."""
        if (inquiry := self._open.get(message.get("id", 0))) is not None:
            child.last[inquiry.name] = inquiry.found[child] = message["answer"]
            inquiry.missing.discard(child)
            self._conclude_if_complete(message["id"])

    def died(self, child: Child) -> None:
        """Nobody waits for its answers any more."""
        for number in [number for number, each in self._open.items() if child in each.missing]:
            self._open[number].missing.discard(child)
            self._conclude_if_complete(number)

    def _conclude_if_complete(self, number: int) -> None:
        if number in self._open and not self._open[number].missing:
            self._conclude(number)

    def _conclude(self, number: int) -> None:
        inquiry = self._open.pop(number)
        inquiry.deadline.cancel()
        late: Collection[Child] = inquiry.missing if inquiry.lasting else ()
        stale = {child: child.last[inquiry.name] for child in late if inquiry.name in child.last}
        inquiry.then(stale | inquiry.found)
