"""Callers who leave before their answer has ended: the agent is let go at once, and the record says who left."""

import asyncio
from contextlib import suppress
from time import monotonic
from typing import Final

from gatewayd.model import Outcome
from gatewayd.prove.agent import Ending, Visit
from gatewayd.prove.books import Books, close_books
from gatewayd.prove.conditions import Conditions
from gatewayd.prove.configuration import Bought, Price
from gatewayd.prove.findings import Check, Finding, Findings
from gatewayd.prove.pauses import Pauses
from gatewayd.prove.stage import Stage, stage

DEPARTURE: Final = Check(
    "departure",
    "a caller who leaves cancels the agent's request within a second, and the record says client_closed",
    wrongs=("not cancelled", "misrecorded"),
    needs=("departures",),
)
NAME: Final = "departures"
ROUNDS: Final = 10
LATEST: Final = 1.0
COST, STATED = 3, 2
_ENDINGS: Final[tuple[Ending, ...]] = ("silent", "endless")
_PATIENCE: Final = 20.0


class Departure:
    """One caller's. Mutable: it goes through it once."""

    def __init__(self, place: Stage, ending: Ending) -> None:
        self._place = place
        self.ending: Ending = ending
        self.visit: Visit | None = None
        self.left = 0.0

    async def run(self) -> None:
        """Raises OSError, EOFError and TimeoutError when the gateway does not even begin."""
        agent, caller, user = self._place.agent, self._place.caller(), self._place.user(Bought())
        query = {"end": self.ending} | ({"quantity": STATED} if self.ending == "endless" else {})
        try:
            async with asyncio.timeout(_PATIENCE):
                await caller.begin(Price(COST).target(**query), user.token, head=self.ending == "endless")
                visit = self.visit = await agent.visit_of(user.name)
        finally:
            caller.leave()
        self.left = monotonic()
        while visit.left is None and (patience := LATEST - self._place.pauses.awake(self.left, monotonic())) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await agent.until(lambda: visit.left is not None)


async def run(conditions: Conditions, findings: Findings) -> None:
    """A round is a caller who leaves while nothing has come yet, and one who leaves in the middle of an answer."""
    async with stage(conditions, NAME, (Bought(),), workers=max(conditions.workers)) as place:
        departures = [Departure(place, ending) for _ in range(conditions.rounds_of(ROUNDS)) for ending in _ENDINGS]
        await asyncio.gather(*(departure.run() for departure in departures))
        books = await close_books(place, findings["drift"])
    for departure in departures:
        judge(departure, books, place.pauses, findings["departure"])


def judge(departure: Departure, books: Books, pauses: Pauses, finding: Finding) -> None:
    """Without a statement a departure costs what the call costs. What we saw late since we stood still is not late."""
    assert departure.visit is not None
    finding.count("departures")
    left, visit = departure.left, departure.visit
    if visit.left is None or (after := pauses.awake(left, visit.left)) > LATEST:
        finding.wrong("not cancelled", f"{visit.id} ({departure.ending}) was still with the agent after {LATEST:g} s")
    else:
        finding.took("cancelled after", max(0.0, after))
    expected = (Outcome.CLIENT_CLOSED, COST if departure.ending == "silent" else STATED)
    found = [(row.outcome, row.quantity) for row in books.records.get(visit.id, ())]
    if found != [expected]:
        finding.wrong("misrecorded", f"{visit.id} ({departure.ending}): {found} instead of {expected}")
