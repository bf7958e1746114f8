"""Numbers that decide which rows are found, and that no record confirms; the same for every database."""

from collections.abc import Iterable, Sequence
from typing import Final

from gatewayd.errors import StoreError

# One that is above the directory's version, or that two rows have, is one that no decision was given.
DECISIONS: Final = """
    WITH decided AS (
        SELECT 'account ' || user_id AS decision, changed FROM accounts
        UNION ALL SELECT 'revocation ' || kind || ' ' || subject, changed FROM revocations
    )
    SELECT decision, changed FROM decided WHERE changed < 1
    OR changed > (SELECT CAST(value AS bigint) FROM ledger_meta WHERE key = 'directory')
    OR changed IN (SELECT changed FROM decided GROUP BY changed HAVING count(*) > 1)
    ORDER BY changed, decision
"""


def end_of(rows: Sequence[tuple[str]], name: object) -> tuple[int, str]:
    """See `reading.LedgerReader.end`: from `head` and `records`. Raises StoreError for what is neither."""
    if len(rows) != 2 or not rows[1][0].isdecimal():
        raise StoreError(f"ledger {name} has lost its end (head and records in ledger_meta): restore it from a backup")
    return int(rows[1][0]), rows[0][0]


def misnumbered_decisions(rows: Iterable[tuple[str, object]]) -> list[str]:
    """The answer to DECISIONS in words, on one line each whatever the names hold."""
    return [f"{_line(decision)}: changed is {changed}, which no decision was given" for decision, changed in rows]


def _line(text: str) -> str:
    return text if text.isprintable() else ascii(text)
