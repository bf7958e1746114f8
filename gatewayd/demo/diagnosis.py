"""Series → what is unusual about them, in figures, in a sentence, and as the next thing to do."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Final

from gatewayd.demo.measurements import Series
from gatewayd.demo.series import ChangePoint, Trend, change_point, correlation, robust_scores, trend

THRESHOLD: Final = 3.5
_MOST_SHOWN: Final = 100
_SEVERITIES: Final = ((3.0, "critical"), (1.5, "high"), (1.0, "warning"))
_RANKS: Final = ("normal", "warning", "high", "critical")
_ACTIONS: Final = {
    "cpu": "find the busiest process and add capacity, or shed load",
    "mem": "look for a leak in what was deployed last, and restart before the limit is reached",
    "disk": "rotate logs and enlarge the volume",
    "latency": "look at the slowest dependency first",
    "error": "compare the errors with the last deployment, and roll it back if they began with it",
    "queue": "add consumers, or slow the producers down",
}


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A value that lies too far from the median; `score` is in robust standard deviations."""

    index: int
    time: float
    value: float
    score: float
    severity: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One metric's diagnosis. `scores` are those of all points."""

    name: str
    scores: tuple[float, ...]
    anomalies: tuple[Anomaly, ...]
    trend: Trend
    change: ChangePoint | None

    @property
    def severity(self) -> str:
        return max((each.severity for each in self.anomalies), key=_RANKS.index, default="normal")

    @property
    def document(self) -> dict[str, object]:
        worst = sorted(self.anomalies, key=lambda each: -abs(each.score))[:_MOST_SHOWN]
        return {
            "severity": self.severity,
            "anomaly_count": len(self.anomalies),
            "anomalies": [asdict(each) for each in sorted(worst, key=lambda each: each.index)],
            "trend": asdict(self.trend),
            "change_point": asdict(self.change) if self.change else None,
        }


def diagnose(metrics: Sequence[Series], sensitivity: float) -> dict[str, object]:
    """The report; a sensitivity of 2 calls a value unusual at half the distance."""
    findings = [_finding(series, THRESHOLD / sensitivity) for series in metrics]
    worst = max(findings, key=lambda each: (_RANKS.index(each.severity), len(each.anomalies)))
    return {
        "status": worst.severity,
        "summary": _summary(findings),
        "recommended_action": _action(worst),
        "metrics": {each.name: each.document for each in findings},
        "correlations": _correlations(findings),
    }


def _finding(series: Series, threshold: float) -> Finding:
    scores = tuple(robust_scores(series.values))
    found = tuple(
        Anomaly(
            index,
            series.times[index],
            series.values[index],
            round(score, 3),
            _severity(abs(score) / threshold),
        )
        for index, score in enumerate(scores)
        if abs(score) >= threshold
    )
    return Finding(series.name, scores, found, trend(series.times, series.values), change_point(series.values))


def _severity(excess: float) -> str:
    return next(name for least, name in _SEVERITIES if excess >= least)


def _correlations(findings: Sequence[Finding]) -> list[dict[str, object]]:
    """Pairs of metrics of one length that are unusual at the same points."""
    return [
        {
            "metrics": [left.name, right.name],
            "coefficient": round(correlation(left.scores, right.scores), 3),
            "shared_indexes": shared[:_MOST_SHOWN],
        }
        for left, right in combinations(findings, 2)
        if len(left.scores) == len(right.scores)
        and (shared := sorted({each.index for each in left.anomalies} & {each.index for each in right.anomalies}))
    ]


def _summary(findings: Sequence[Finding]) -> str:
    unusual = [each for each in findings if each.anomalies]
    parts = [_phrase(each) for each in sorted(unusual, key=lambda each: -_RANKS.index(each.severity))]
    parts += [f"the level of {each.name} changed at index {each.change.index}" for each in findings if each.change]
    start = f"{len(unusual)} of {len(findings)} metrics {'is' if len(unusual) == 1 else 'are'} unusual"
    return f"{start}{': ' if parts else ''}{'; '.join(parts)}."


def _phrase(finding: Finding) -> str:
    worst = max(finding.anomalies, key=lambda each: abs(each.score))
    count = len(finding.anomalies)
    noun = "anomaly" if count == 1 else "anomalies"
    return f"{finding.name} has {count} {noun}, the worst ({worst.severity}) at index {worst.index}"


def _action(worst: Finding) -> str:
    if not worst.anomalies:
        return "Nothing needs to be done."
    name = worst.name.lower()
    known = next(
        (action for word, action in _ACTIONS.items() if word in name),
        "compare with what changed at that time",
    )
    return f"{worst.name}: {known}."
