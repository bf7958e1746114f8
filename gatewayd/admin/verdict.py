"""One sentence for somebody who was woken up, and what it rests on: what is wrong, for whom, and what to do."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from gatewayd.admin.wording import amount, seconds, share
from gatewayd.errors import UpstreamConnect, UpstreamProtocol, UpstreamReset, UpstreamTimeout

Level = Literal["good", "warning", "bad"]

_MANY_REFUSED: Final = 0.2
_MANY_FAILED: Final = 0.01
_FEW: Final = 10  # requests of which no share is told
_OF_AGENTS: Final = frozenset(kind.code for kind in (UpstreamConnect, UpstreamProtocol, UpstreamReset, UpstreamTimeout))
_SLOW: Final = 0.1  # seconds that the gateway itself may take


@dataclass(frozen=True, slots=True)
class Verdict:
    level: Level
    sentence: str
    cause: str = ""


Facts = Mapping[str, Any]
"""The overview's document, without its verdict."""


def verdict(facts: Facts) -> Verdict:
    """The worst that is true."""
    return next(found for judge in _JUDGES if (found := judge(facts)) is not None)


def _silent(facts: Facts) -> Verdict | None:
    if not facts["silent_since"]:
        return None
    return Verdict(
        "bad",
        f"The daemon has not answered since {_clock(facts['silent_since'])}.",
        "What is below is older. Its process may be stopped or the machine overloaded: look at it, and at its log.",
    )


def _leaving(facts: Facts) -> Verdict | None:
    status = facts["status"]
    if status["state"] in ("serving", "reloading"):
        return None
    return Verdict(
        "warning",
        f"The gateway is {status['state']}.",
        f"{amount(status['in_flight'], 'request')} still in flight; new ones get 503 until it serves again.",
    )


def _books(facts: Facts) -> Verdict | None:
    if not (drift := facts["ledger"]["drift"]):
        return None
    return Verdict(
        "bad",
        f"The books differ by {amount(drift, 'unit')}.",
        "Balances and records do not add up. Stop selling on these figures and run: gatewayd ledger verify",
    )


def _ledger(facts: Facts) -> Verdict | None:
    if facts["ledger"]["up"]:
        return None
    return Verdict(
        "bad",
        "The ledger is away.",
        "Callers with leased units and units without a limit are served; others get 503. The log has the reason.",
    )


def _agents_down(facts: Facts) -> Verdict | None:
    down = [each for each in facts["agents"] if each["state"] == "down"]
    if not down:
        return None
    first = down[0]
    names = _listed([each["name"] for each in down])
    verb = first["cause"] if len(down) == 1 else "do not answer"
    return Verdict("bad", f"{names} {verb}, since {_clock(first['since'])}.", _harm(facts, down))


def _processes(facts: Facts) -> Verdict | None:
    ill = [each for each in facts["status"]["children"] if each["state"] != "serving"]
    if not ill:
        return None
    restarts = sum(each["restarts"] for each in ill)
    return Verdict(
        "bad",
        f"{_listed([each['name'] for each in ill])} {'is' if len(ill) == 1 else 'are'} {ill[0]['state']}.",
        f"Another takes its place; restarts so far: {restarts}. The daemon's log has the reason.",
    )


def _gateway_fails(facts: Facts) -> Verdict | None:
    lately, reasons = facts["lately"], {each["code"]: each["lately"] for each in facts["refusals"]}
    own = {code: reasons.get(code, 0) for code in ("store_unavailable", "overloaded", "internal_error")}
    worst = max(own, key=lambda code: own[code])
    if own[worst] < max(1, _MANY_FAILED * lately["ended"]):
        return None
    return Verdict(
        "bad",
        f"The gateway refused {amount(own[worst], 'request')} with {worst} in the last minute.",
        _whom(facts["failures"], worst) or "The daemon's log has the reason under their request ids.",
    )


def _agents_failing(facts: Facts) -> Verdict | None:
    failing = [each for each in facts["agents"] if each["state"] == "failing"]
    if not failing:
        return None
    first = failing[0]
    names = _listed([each["name"] for each in failing])
    cause = first["cause"] if len(failing) == 1 else "fail"
    return Verdict("warning", f"{names} at times {cause}, since {_clock(first['since'])}.", _harm(facts, failing))


def _many_refused(facts: Facts) -> Verdict | None:
    lately = facts["lately"]
    reasons = [each for each in facts["refusals"] if each["code"] not in _OF_AGENTS]
    refused = sum(each["lately"] for each in reasons)
    if lately["ended"] < _FEW or refused < _MANY_REFUSED * lately["ended"]:
        return None
    worst = max(reasons, key=lambda each: int(each["lately"]))
    return Verdict(
        "warning",
        f"Serving, but {share(refused / lately['ended'])} of the last minute's requests were refused.",
        f"Most of them with {worst['code']}. {_whom(facts['refused'], worst['code'])}".strip(),
    )


def _slow(facts: Facts) -> Verdict | None:
    own = facts["lately"]["own_p95"]
    if own is None or own < _SLOW:
        return None
    return Verdict(
        "warning",
        f"Serving, but slowly: the gateway itself took {seconds(own)} of its slowest requests.",
        "Its workers have more to do than their CPUs can, or wait for the counters (server.workers, counters.url).",
    )


def _well(facts: Facts) -> Verdict | None:
    lately = facts["lately"]
    if not lately["ended"]:
        return Verdict("good", "Serving; nobody called in the last minute.")
    if not lately["failed"]:
        return Verdict("good", "Serving; no request failed in the last minute.")
    return Verdict(
        "good",
        f"Serving; {lately['failed']} of {amount(lately['ended'], 'request')} failed in the last minute.",
        "The last errors below say which.",
    )


_JUDGES: Final[Sequence[Callable[[Facts], Verdict | None]]] = (
    _silent,
    _leaving,
    _books,
    _ledger,
    _processes,
    _agents_down,
    _gateway_fails,
    _agents_failing,
    _many_refused,
    _slow,
    _well,
)


def _harm(facts: Facts, agents: Sequence[Mapping[str, Any]]) -> str:
    names = {each["name"] for each in agents}
    failed = sum(each["lately"]["failed"] for each in agents)
    users = Counter(_name(each) for each in facts["failures"] if each["route"] in names)
    whom = f" Callers hit: {_most(users)}." if users else ""
    if not failed:
        return f"Nobody called in the last minute, so it may be over.{whom}"
    return f"{amount(failed, 'call')} failed in the last minute.{whom}"


def _whom(sightings: Sequence[Mapping[str, Any]], code: str) -> str:
    users = Counter(_name(each) for each in sightings if each["code"] == code)
    return f"Callers hit: {_most(users)}." if users else ""


def _name(sighting: Mapping[str, Any]) -> str:
    return str(sighting["user"] or sighting["client"])


def _most(users: Counter[str]) -> str:
    names = [name for name, _ in users.most_common(3)]
    more = len(users) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _clock(moment: str | None) -> str:
    return f"{moment[11:19]} UTC" if moment else "its start"
