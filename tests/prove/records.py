"""Visits, answers and rows for the judges."""

from gatewayd.model import Outcome
from gatewayd.prove.agent import Visit
from gatewayd.prove.caller import Answer
from gatewayd.prove.configuration import Price
from gatewayd.prove.findings import Finding
from gatewayd.prove.wire import Head
from gatewayd.stores.chain import RecordRow


def visit(name: str = "r1", *, user: str = "ann", cost: int = 3, quantity: int | None = 2) -> Visit:
    target = Price(cost).target(**({} if quantity is None else {"quantity": quantity}))
    return Visit(Head(("GET", target, "HTTP/1.1"), {"x-request-id": name, "x-user-id": user}))


def answer(status: int = 200, *, name: str = "r1", sent: float = 1.0, ended: float = 2.0, whole: bool = True) -> Answer:
    return Answer(sent, ended, status, {"x-request-id": name}, b"", whole=whole)


def row(
    name: str = "r1", *, user: str = "ann", quantity: int = 2, outcome: Outcome | str = Outcome.DELIVERED
) -> RecordRow:
    times = "2025-11-24T16:00:00.000Z", "2025-11-24T16:00:01.000Z"
    return RecordRow(name, user, "free", "a", "a", "units", quantity, str(outcome), 200, *times, 0, 0, "chain")


def wrongs(finding: Finding) -> dict[str, int]:
    """What was found wrong, zeros left out."""
    return {name: finding.counts[name] for name in finding.check.wrongs if finding.counts[name]}
