"""What was used by day, agent and unit, added up as records come. Mutable: it reads on where it stopped."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from gatewayd.stores.reading import UsageReader, Used

AT_ONCE: Final = 100_000
"""Records that one step looks at: a fraction of a second, in which nobody else is kept waiting."""
_MONTHS: Final = 24  # kept; older ones are the ledger's

Kind = tuple[str, str, str]  # day, agent, unit


class Totals:
    """Of everybody, for the last two years of days."""

    def __init__(self) -> None:
        self._rows: list[Used] = []
        self.place = 0
        self.last = 0

    @property
    def complete(self) -> bool:
        """Whether all records that there were at the last step are in it."""
        return self.place >= self.last

    def step(self, reader: UsageReader) -> None:
        """Add the next records. Raises StoreError. A ledger that became shorter is another one: all is begun again."""
        stretch = reader.used_after(self.place, AT_ONCE)
        if stretch.last < self.place:
            self._rows, self.place, self.last = [], 0, stretch.last
            return
        self._rows = list(_added_up([*self._rows, *stretch.used]))
        self.place, self.last = stretch.end, stretch.last
        self._forget()

    def _forget(self) -> None:
        if old := self.periods()[_MONTHS:]:
            self._rows = [row for row in self._rows if row.day[:7] not in old]

    def periods(self) -> Sequence[str]:
        """Months of which there are records, the newest first."""
        return sorted({row.day[:7] for row in self._rows}, reverse=True)

    def of(self, period: str) -> Sequence[Used]:
        """The month's, the newest day first."""
        return sorted((row for row in self._rows if row.day[:7] == period), reverse=True)


def by_agent(rows: Sequence[Used]) -> list[Used]:
    """The days added up: one row an agent and unit, the most used first."""
    return sorted(_added_up(row._replace(day="") for row in rows), key=lambda row: row.quantity, reverse=True)


def by_day(rows: Sequence[Used]) -> list[Used]:
    """The agents added up: one row a day and unit, the newest first."""
    return sorted(_added_up(row._replace(agent="") for row in rows), key=lambda row: row[:3], reverse=True)


def _added_up(rows: Iterable[Used]) -> Iterator[Used]:
    sums: dict[Kind, list[int]] = {}
    for day, agent, unit, *amounts in rows:
        kept = sums.setdefault((day, agent, unit), [0, 0, 0])
        kept[:] = map(sum, zip(kept, amounts, strict=True))
    return (Used(*kind, *amounts) for kind, amounts in sums.items())
