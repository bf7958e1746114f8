"""How a ledger of an older schema becomes one of this, step by step, in one transaction."""

import logging
import sqlite3
from collections.abc import Callable, Mapping
from typing import Final

from gatewayd.model import Outcome, UsageRecord, posting_of
from gatewayd.stores import chain
from gatewayd.stores.base import Batch
from gatewayd.stores.sqlite import schema
from gatewayd.stores.sqlite.posting import post

logger = logging.getLogger(__name__)

SELECT_HOLDS: Final = "SELECT id, user_id, plan, agent, route, unit, cost, started_at FROM usage_holds ORDER BY rowid"


def migrate(connection: sqlite3.Connection, now: float) -> None:
    """Bring an examined ledger up to date; killed in the middle, it is as if it had not begun."""
    if schema.version(connection) == schema.VERSION:
        return
    with schema.transaction(connection):
        found = schema.version(connection)
        for version in range(found, schema.VERSION):
            STEPS[version](connection, now)
        connection.execute("UPDATE ledger_meta SET value = ? WHERE key = 'schema_version'", (str(schema.VERSION),))
    logger.warning("the ledger was brought from schema %d to %d", found, schema.VERSION)


def _from_holds_to_leases(connection: sqlite3.Connection, now: float) -> None:
    """A hold becomes the record of a request whose end nobody saw, charged its cost."""
    for statement in (*schema.LEASES, schema.REVOCATIONS, schema.RECORDS_OF_AN_ACCOUNT):
        connection.execute(statement)
    connection.execute("INSERT INTO ledger_meta VALUES ('directory', '0')")
    postings = [posting_of(_unknown(row, now), 0) for row in connection.execute(SELECT_HOLDS).fetchall()]
    post(connection, "", Batch(postings))
    connection.execute("UPDATE usage_balances SET held = 0")
    connection.execute("DROP TABLE usage_holds")


def _unknown(row: tuple[str, str, str, str, str, str, int, str], now: float) -> UsageRecord:
    request_id, user_id, plan, agent, route, unit, cost, started_text = row
    started_at = chain.epoch(started_text)
    return UsageRecord(
        id=request_id,
        user_id=user_id,
        plan=plan,
        agent=agent,
        route=route,
        unit=unit,
        quantity=cost,
        outcome=Outcome.UNKNOWN,
        status=0,
        started_at=started_at,
        ended_at=max(now, started_at),
        bytes_in=0,
        bytes_out=0,
    )


def _number_decisions(connection: sqlite3.Connection, _now: float) -> None:
    for statement in schema.CHANGES:
        connection.execute(statement)


# By the version that a step begins with.
STEPS: Final[Mapping[int, Callable[[sqlite3.Connection, float], None]]] = {
    1: _from_holds_to_leases,
    2: _number_decisions,
}
