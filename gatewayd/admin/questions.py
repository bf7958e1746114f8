"""What is asked about usage, and the answers as documents: for the page, for programs and for spreadsheets alike."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gatewayd.admin.overview import user_row
from gatewayd.admin.totals import by_agent, by_day
from gatewayd.admin.usage import UsageDesk
from gatewayd.errors import StoreError
from gatewayd.model import BillingPeriod
from gatewayd.stores.reading import Used

TOTALS_PATIENCE: Final = 0.5
"""Seconds that are spent on reading records of which nobody has asked before."""
_MOST_PAGES: Final = 1_000_000
_NOTHING: Final[Mapping[str, Any]] = {"users": [], "count": 0, "agents": [], "days": [], "complete": True}


@dataclass(frozen=True, slots=True)
class UsageQuestion:
    """A month, users whose name begins with `user`, and a page of them from 0."""

    period: str
    user: str = ""
    page: int = 0

    @classmethod
    def asked(cls, query: Mapping[str, str], present: str) -> "UsageQuestion":
        """What does not make sense is what it is without: the present month, the first page."""
        return cls(_period(query.get("period", ""), present), query.get("user", ""), _page(query.get("page", "")))

    def query(self) -> dict[str, str]:
        """The same as an address has it, but for the page."""
        return {"period": self.period, "user": self.user} if self.user else {"period": self.period}


def _period(text: str, present: str) -> str:
    try:
        return BillingPeriod.named(text).name
    except ValueError:
        return present


def _page(text: str) -> int:
    return min(int(text), _MOST_PAGES) if text.isdecimal() and text.isascii() and len(text) < 10 else 0


class UsageQuestions:
    """Answers, in which a ledger that cannot be read is a `fault` in words."""

    def __init__(self, desk: UsageDesk) -> None:
        self._desk = desk

    def period(self) -> str:
        """The present month."""
        return self._desk.period()

    async def usage(self, question: UsageQuestion) -> dict[str, Any]:
        """A month: one page of users, all agents, all days."""
        period = question.period
        try:
            count, rows = await self._desk.users(period, question.user, question.page)
            totals = await self._desk.totals(TOTALS_PATIENCE)
        except StoreError as error:
            return {**_NOTHING, "periods": [period], "fault": str(error)}
        used = totals.of(period)
        return {
            "users": [user_row(row) for row in rows],
            "count": count,
            "agents": [_named(each, "day") for each in by_agent(used)],
            "days": [_named(each, "agent") for each in by_day(used)],
            "complete": totals.complete,
            "periods": sorted({*totals.periods(), period, self.period()}, reverse=True),
            "fault": None,
        }

    async def usage_of(self, question: UsageQuestion) -> dict[str, Any]:
        """One user's month, whole."""
        try:
            rows = await self._desk.units_of(question.user, question.period)
            days = await self._desk.days_of(question.user, question.period)
        except StoreError as error:
            return {**_NOTHING, "fault": str(error)}
        return {"users": [user_row(row) for row in rows], "days": [each._asdict() for each in days], "fault": None}

    async def everything(self, question: UsageQuestion, by: str) -> tuple[Sequence[str], Iterator[Mapping[str, Any]]]:
        """Columns and rows of a table without pages: by user, agent, day or user-day. Raises StoreError."""
        if by == "user":
            every = await self._desk.every_user(question.period, question.user)
            return USER_COLUMNS, (user_row(row) for row in every)
        if by == "user-day":
            days = await self._desk.days_of(question.user, question.period)
            return _USED, (each._asdict() for each in days)
        used = (await self._desk.all_totals()).of(question.period)
        left_out = "day" if by == "agent" else "agent"
        rows = by_agent(used) if by == "agent" else by_day(used)
        return [name for name in _USED if name != left_out], (each._asdict() for each in rows)


_USED: Final = Used._fields
USER_COLUMNS: Final = (
    *("user", "plan", "unit", "period", "limit", "held", "spent", "remaining", "resets_at", "share", "forecast"),
    "used_up_at",
)
TABLES: Final = ("user", "agent", "day", "user-day")


def _named(row: Used, left_out: str) -> dict[str, Any]:
    return {name: value for name, value in row._asdict().items() if name != left_out}
