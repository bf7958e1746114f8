"""An agent that breaks its answer off: no caller takes what came of it for the whole."""

import asyncio
from typing import Final

from gatewayd.model import Outcome
from gatewayd.prove.agent import PROMISED, Ending
from gatewayd.prove.books import Books, close_books
from gatewayd.prove.caller import Answer
from gatewayd.prove.conditions import Conditions
from gatewayd.prove.configuration import Bought, Price
from gatewayd.prove.findings import Check, Finding, Findings
from gatewayd.prove.stage import Stage, stage

BROKEN_BODY: Final = Check(
    "broken-body",
    "an answer that its agent broke off never looks complete, and costs nothing; one that is whole arrives whole",
    wrongs=("taken for whole", "came broken", "misrecorded"),
    needs=("broken off", "whole"),
)
NAME: Final = "endings"
ROUNDS: Final = 10
WHOLE: Final[tuple[Ending, ...]] = ("sized", "chunked")
BROKEN: Final[tuple[Ending, ...]] = ("short", "unterminated", "reset")


async def run(conditions: Conditions, findings: Findings) -> None:
    """A round is a call for each way that an answer can end."""
    told: list[tuple[Ending, Answer]] = []
    async with stage(conditions, NAME, (Bought(),), workers=max(conditions.workers)) as place:
        for _ in range(conditions.rounds_of(ROUNDS)):
            told += await asyncio.gather(*(_call(place, ending) for ending in WHOLE + BROKEN))
        books = await close_books(place, findings["drift"])
    for ending, answer in told:
        judge(ending, answer, findings["broken-body"])
        judge_record(ending, answer, books, findings["broken-body"])


async def _call(place: Stage, ending: Ending) -> tuple[Ending, Answer]:
    caller = place.caller()
    answer = await caller.call(Price(2).target(end=ending), place.user(Bought()).token)
    caller.leave()
    return ending, answer


def judge(ending: Ending, answer: Answer, finding: Finding) -> None:
    """A problem document instead of the answer is no broken answer: its status says so."""
    complete = answer.whole and answer.status == 200
    if ending in WHOLE:
        finding.count("whole")
        if not complete or len(answer.body) != PROMISED:
            finding.wrong("came broken", f"{ending}: {answer.told}")
    else:
        finding.count("broken off")
        if complete:
            finding.wrong("taken for whole", f"{ending}: {answer.told}")


def judge_record(ending: Ending, answer: Answer, books: Books, finding: Finding) -> None:
    expected = (Outcome.DELIVERED, 2) if ending in WHOLE else (Outcome.FAILED, 0)
    found = [(row.outcome, row.quantity) for row in books.records.get(answer.id, ())]
    if found != [expected]:
        finding.wrong("misrecorded", f"{ending}: {found} instead of {expected}")
