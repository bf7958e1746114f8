"""What came out: series of figures with their middle and spread, as a table and as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any

from tests.bench.declare import Bench, Ratio, Target

HEADINGS = ("name", "figure", "unit", "spread", "lowest", "highest", "target", "met")
RIGHT = frozenset({"figure", "spread", "lowest", "highest", "target"})


@dataclass(frozen=True, slots=True)
class Series:
    """One figure over all rounds, in order."""

    name: str
    unit: str
    what: str
    target: Target | None
    values: tuple[float, ...]

    @property
    def figure(self) -> float:
        """The median of the rounds."""
        return median(self.values)

    @property
    def spread(self) -> float:
        """How far the middle half of the rounds lies apart, as a share of the figure."""
        if len(self.values) < 2 or not self.figure:
            return 0.0
        low, _, high = quantiles(self.values, n=4, method="inclusive")
        return (high - low) / abs(self.figure)

    @property
    def met(self) -> bool | None:
        """Whether the figure reaches its target; None where there is none."""
        return None if self.target is None else self.target.met(self.figure)

    def row(self) -> tuple[str, ...]:
        return (
            self.name,
            number(self.figure),
            self.unit,
            f"{self.spread:.0%}",
            number(min(self.values)),
            number(max(self.values)),
            "" if self.target is None else str(self.target),
            {None: "", True: "yes", False: "NO"}[self.met],
        )

    def document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "what": self.what,
            "figure": self.figure,
            "unit": self.unit,
            "spread": round(self.spread, 4),
            "values": list(self.values),
            "target": None if self.target is None else str(self.target),
            "met": self.met,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """A whole run. `failures`: why a bench broke, by its name; `absent`: what it compares with and is not here."""

    machine: Mapping[str, Any]
    scale: float
    series: Sequence[Series]
    failures: Mapping[str, str]
    absent: Mapping[str, str] = field(default_factory=dict)

    def table(self) -> str:
        rows = [HEADINGS, *(each.row() for each in self.series)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
        lines = ["  ".join(_aligned(row, widths)).rstrip() for row in rows]
        lines.insert(1, "  ".join("-" * width for width in widths))
        unmeasured = {**self.absent, **self.failures}
        lines += [f"{name}: not measured: {why.splitlines()[-1]}" for name, why in unmeasured.items()]
        if self.scale != 1:
            lines.append(f"only {self.scale:g} of the work of a round was done: no figures to go by")
        return "\n".join([*lines, ", ".join(f"{fact} {value}" for fact, value in self.machine.items())])

    def document(self) -> dict[str, Any]:
        return {
            "machine": dict(self.machine),
            "scale": self.scale,
            "figures": [each.document() for each in self.series],
            "failures": dict(self.failures),
            "absent": dict(self.absent),
        }


def series(benches: Sequence[Bench], rounds: Mapping[str, Sequence[Mapping[str, float]]]) -> list[Series]:
    """The figures of those benches that gave any, in the order in which they are declared."""
    return [
        Series(f"{bench.name}.{each.name}", each.unit, each.what, each.target, tuple(one[each.name] for one in found))
        for bench in benches
        if (found := rounds.get(bench.name))
        for each in bench.figures
    ]


def ratios(declared: Sequence[Ratio], found: Sequence[Series]) -> list[Series]:
    """Those whose two figures are there; divided round by round, so that what drifts in both drops out."""
    by_name = {each.name: each.values for each in found}
    return [
        Series(ratio.name, "×", ratio.what, ratio.target, tuple(_divided(by_name[ratio.of], by_name[ratio.to])))
        for ratio in declared
        if ratio.of in by_name and ratio.to in by_name
    ]


def number(value: float) -> str:
    """Three digits that say something, without an exponent."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{3 if abs(value) < 1 else 2 if abs(value) < 10 else 1}f}"


def _divided(over: Sequence[float], under: Sequence[float]) -> list[float]:
    return [one / other if other else float("inf") for one, other in zip(over, under, strict=True)]


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        cell.rjust(width) if heading in RIGHT else cell.ljust(width)
        for heading, cell, width in zip(HEADINGS, row, widths, strict=True)
    ]
