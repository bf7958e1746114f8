"""A usage reader that a test owns, and a real ledger with users in it."""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from gatewayd.clock import SystemClock
from gatewayd.errors import StoreError
from gatewayd.model import Balance
from gatewayd.stores.open import open_store
from gatewayd.stores.reading import Standing, Stretch, Used


class Shelf:
    """Answers from lists; `away` refuses as a lost database does, and while `gate` is shut nobody is answered."""

    def __init__(self) -> None:
        self.away = False
        self.gate = threading.Event()
        self.gate.set()
        self.rows: list[Standing] = []
        self.used: list[Used] = []
        self.asked = 0

    @contextmanager
    def open(self) -> Iterator["Shelf"]:
        self.asked += 1
        self.gate.wait()
        if self.away:
            raise StoreError("ledger x cannot be used")
        yield self

    def standings(self, period: str, *, user: str = "", most: int, skip: int = 0) -> Sequence[Standing]:
        rows = [row for row in self.rows if row.balance.period == period and row.balance.user_id.startswith(user)]
        return rows[skip : skip + most]

    def standings_of(self, user: str, period: str) -> Sequence[Standing]:
        return [row for row in self.rows if (row.balance.user_id, row.balance.period) == (user, period)]

    def count(self, period: str, *, user: str = "") -> int:
        return len(self.standings(period, user=user, most=10**9))

    def used_by(self, user: str, period: str) -> Sequence[Used]:
        return [row for row in self.used if row.day.startswith(period)] if user else []

    def used_after(self, place: int, most: int) -> Stretch:
        end = min(len(self.used), place + most)
        return Stretch(end, len(self.used), self.used[place:end])


def standing(
    user: str = "ann", spent: int = 5, limit: int = 10, period: str = "2025-11", plan: str = "free"
) -> Standing:
    return Standing(Balance(user, "api_calls", period, limit, 0, spent), plan)


def used(day: str = "2025-11-24", agent: str = "email", quantity: int = 1, failed: int = 0) -> Used:
    return Used(day, agent, "api_calls", 1, failed, quantity)


async def fill_with_users(state: Path, users: Sequence[str], period: str, *, spent: int = 3, limit: int = 10) -> None:
    """Let each of them have made one call that cost so much, in a new ledger without a daemon; nothing is chained."""
    store = await open_store(f"sqlite:{state}/ledger.db", "process", SystemClock())
    await store.close()
    balances = [(user, "api_calls", period, limit, 0, spent) for user in users]
    moment = f"{period}-01T00:00:00.000Z"
    ended = (spent, "delivered", 200, moment, moment, 0, 0, "")
    records = [(f"{n:032x}", user, "free", "email", "email", "api_calls", *ended) for n, user in enumerate(users)]
    with closing(sqlite3.connect(state / "ledger.db")) as connection, connection:
        connection.executemany("INSERT INTO usage_balances VALUES (?, ?, ?, ?, ?, ?)", balances)
        connection.executemany(f"INSERT INTO usage_records VALUES ({', '.join('?' * 14)})", records)
