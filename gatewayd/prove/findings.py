"""What was found out: for each check the figures, and what was wrong, with enough of it to go on."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

FAULTS_KEPT: Final = 10
"""Of each check; the rest is only counted."""
INDENT: Final = 7
_NAMES: Final = 15


@dataclass(frozen=True, slots=True)
class Check:
    """A promise that can be told by figures.

    `wrongs` are the names of the figures that must be 0; `needs` those that must not, or nothing was proved.
    """

    name: str
    promise: str
    wrongs: tuple[str, ...]
    needs: tuple[str, ...]


class Finding:
    """What was found for one check. Mutable: trials add to it."""

    def __init__(self, check: Check) -> None:
        self.check = check
        self.counts = Counter(dict.fromkeys((*check.wrongs, *check.needs), 0))
        self.longest: dict[str, float] = {}
        self.faults: list[str] = []
        self.failures: list[str] = []

    def count(self, what: str, number: int = 1) -> None:
        self.counts[what] += number

    def took(self, what: str, seconds: float) -> None:
        """The longest of them is told."""
        self.longest[what] = max(seconds, self.longest.get(what, 0.0))

    def wrong(self, what: str, fault: str, number: int = 1) -> None:
        """Something that must not be, `number` of it, and a line that says where."""
        assert what in self.check.wrongs, what
        self.counts[what] += number
        if number and len(self.faults) < FAULTS_KEPT:
            self.faults.append(f"{what}: {fault}")

    def failed(self, reason: str) -> None:
        """A trial could not be carried out."""
        self.failures.append(reason)

    @property
    def passed(self) -> bool:
        return not self.failures and not any(self.counts[each] for each in self.check.wrongs) and not self.unproved

    @property
    def unproved(self) -> list[str]:
        """What never happened and had to."""
        return [each for each in self.check.needs if not self.counts[each]]

    @property
    def figure(self) -> str:
        """All figures on one line."""
        counts = (f"{name} {number:,}" for name, number in self.counts.items())
        times = (f"{name} {1000 * seconds:,.0f} ms" for name, seconds in self.longest.items())
        return ", ".join((*counts, *times))

    @property
    def lines(self) -> list[str]:
        """For people: whether it passed, the figures, and under that why not."""
        return [
            f"{'ok' if self.passed else 'FAILED':<{INDENT}}{self.check.name:<{_NAMES}} {self.figure}",
            *(f"{'':<{INDENT}}{reason}" for reason in self.reasons),
        ]

    @property
    def reasons(self) -> list[str]:
        """Why it did not pass, a line each."""
        unproved = [f"nothing was proved: there were no {each}" for each in self.unproved if not self.failures]
        return [*self.failures, *self.faults, *unproved]


class Findings:
    """One for each check. Mutable as they are."""

    def __init__(self, checks: Iterable[Check]) -> None:
        self._findings = {check.name: Finding(check) for check in checks}

    def __getitem__(self, name: str) -> Finding:
        return self._findings[name]

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._findings.values())
