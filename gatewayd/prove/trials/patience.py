"""Callers who were told Retry-After: who waits as long is let through, and who comes a second earlier is not."""

import asyncio
import random
from time import monotonic
from typing import Final

from gatewayd.prove.books import close_books
from gatewayd.prove.caller import Answer, Caller
from gatewayd.prove.conditions import Conditions
from gatewayd.prove.configuration import Bought, Price
from gatewayd.prove.findings import Check, Finding, Findings
from gatewayd.prove.stage import Stage, User, stage

RETRY_AFTER: Final = Check(
    "retry-after",
    "a lone caller who sleeps as long as Retry-After says is let through, and a whole second earlier is not yet",
    wrongs=("refused in time", "let through early", "other answers"),
    needs=("came in time", "came early"),
)
NAME: Final = "patience"
ROUNDS: Final = 12
RATES: Final = (15, 20, 25, 30)
"""A minute: one comes back every 4 to 2 seconds."""
MOST_AT_ONCE: Final = 5
_MARGIN: Final = 0.2
_TRIES: Final = 5
_TARGET: Final = Price(1).target()


async def run(conditions: Conditions, findings: Findings) -> None:
    """A round is a new user; all of them at once, for most of the time nothing happens."""
    chance = conditions.chance(NAME)
    bought = [_drawn(chance) for _ in range(conditions.rounds_of(ROUNDS))]
    async with stage(conditions, NAME, bought, workers=max(conditions.workers)) as place:
        async with asyncio.TaskGroup() as everybody:
            for number, each in enumerate(bought):
                visitor = Visitor(place, place.user(each), findings["retry-after"])
                everybody.create_task(visitor.visit(early=number % 2 == 1))
        await close_books(place, findings["drift"])


def _drawn(chance: random.Random) -> Bought:
    return Bought(rate=f"{chance.choice(RATES)}/minute burst {chance.randint(1, MOST_AT_ONCE)}")


class Visitor:
    """One user, alone with a rate."""

    def __init__(self, place: Stage, user: User, finding: Finding) -> None:
        self._caller: Caller = place.caller()
        self._user = user
        self._finding = finding

    async def visit(self, *, early: bool) -> None:
        """Use it up, be refused; come a second too early, perhaps, and then as late as one was told."""
        refused = await self._use_up()
        if early and refused is not None:
            refused = await self._come_early(refused)
        if refused is not None:
            await self._come_in_time(refused)
        self._caller.leave()

    async def _use_up(self) -> Answer | None:
        for _ in range(2 * MOST_AT_ONCE):
            answer = await self._call()
            if answer.status != 200:
                return self._refusal(answer)
        return self._refusal(answer)

    async def _come_early(self, refused: Answer) -> Answer | None:
        """The wait began when it was sent or later, so this is more than a second before it can be over.

        An answer that is late says nothing: on a busy machine it is tried again. Nor does a wait of a second, which may
        be nearly over: then it is used up once more.
        """
        for _ in range(_TRIES):
            if _told(refused) == 1:
                await _waited(refused)
                if (again := await self._use_up()) is None:
                    return None
                refused = again
            due = refused.sent + _told(refused) - 1
            await asyncio.sleep(due - _MARGIN - monotonic())
            answer = await self._call()
            if answer.ended <= due:
                return self._judge_early(refused, answer)
            again = await self._use_up() if answer.status == 200 else self._refusal(answer)
            if again is None:
                return None
            refused = again
        return refused

    def _judge_early(self, refused: Answer, answer: Answer) -> Answer | None:
        self._finding.count("came early")
        if answer.status == 200:
            self._finding.wrong("let through early", f"{self._user.name}: told {_told(refused)} s, {answer.told}")
            return None
        return self._refusal(answer)

    async def _come_in_time(self, refused: Answer) -> None:
        await _waited(refused)
        answer = await self._call()
        self._finding.count("came in time")
        if answer.status == 429:
            fault = f"{self._user.name}: told {_told(refused)} s, and then {_told(answer)} s"
            self._finding.wrong("refused in time", fault)
        elif answer.status != 200:
            self._refusal(answer)

    async def _call(self) -> Answer:
        return await self._caller.call(_TARGET, self._user.token)

    def _refusal(self, answer: Answer) -> Answer | None:
        if answer.status == 429 and answer.fields.get("retry-after", "").isdecimal():
            return answer
        self._finding.wrong("other answers", f"{self._user.name}: {answer.told}")
        return None


async def _waited(refused: Answer) -> None:
    """As long as one was told to."""
    await asyncio.sleep(refused.ended + _told(refused) - monotonic())


def _told(refused: Answer) -> int:
    return int(refused.fields["retry-after"])
