"""Whether every request that reached the agent is in the ledger once, and as it was."""

from collections.abc import Iterable, Sequence
from typing import Final

from gatewayd.model import Outcome
from gatewayd.prove.agent import Visit
from gatewayd.prove.books import Books
from gatewayd.prove.caller import Answer
from gatewayd.prove.configuration import Price
from gatewayd.prove.findings import Finding
from gatewayd.stores.chain import RecordRow

RECORD_WRONGS: Final = ("missing", "doubled", "invented", "misstated")
"""What `judge_records` counts: no record, several, one of a request that nobody saw, and one that is not true."""


def judge_records(visits: Sequence[Visit], answers: Iterable[Answer], books: Books, finding: Finding) -> None:
    """By what the agent saw, and the callers; only of a request that was cut off anything else may be `unknown`."""
    finding.count("requests", len(visits))
    whole = {answer.id for answer in answers if answer.whole and answer.status == 200}
    for visit in visits:
        rows = books.records.get(visit.id, [])
        if not rows:
            finding.wrong("missing", f"{visit.id} of {visit.user} reached the agent and has no record")
        finding.wrong("doubled", f"{visit.id} has {len(rows)} records", max(0, len(rows) - 1))
        for row in rows:
            if not is_true(row, visit, delivered=visit.id in whole):
                finding.wrong("misstated", f"{row} of {visit.target}, delivered: {visit.id in whole}")
    _judge_others(books, {visit.id for visit in visits}, finding)


def _judge_others(books: Books, seen: set[str], finding: Finding) -> None:
    """Who died when it was about to call the agent leaves a record of a request that the agent never saw."""
    for name in books.records.keys() - seen:
        for row in books.records[name]:
            if row.outcome != Outcome.UNKNOWN:
                finding.wrong("invented", f"{row}, which the agent did not see")


def is_true(row: RecordRow, visit: Visit, *, delivered: bool) -> bool:
    """`delivered`: its caller had the whole answer."""
    if row.user_id != visit.user or (delivered and row.outcome != Outcome.DELIVERED):
        return False
    return row.quantity in charges(visit).get(Outcome(row.outcome), ())


def charges(visit: Visit) -> dict[Outcome, tuple[int, ...]]:
    """What may be charged for it, by how it ended, by contract section 7; the agent did not fail."""
    cost = Price.of(visit.target).cost
    stated = cost if visit.quantity is None else visit.quantity
    return {
        Outcome.DELIVERED: (stated,),
        Outcome.CLIENT_CLOSED: (stated, cost),
        Outcome.UNKNOWN: (cost,),
    }
