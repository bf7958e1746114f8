"""Ledgers with a great many accounts, made at once behind their stores' backs."""

import sqlite3
from contextlib import closing

from gatewayd.stores.open import open_clerk
from tests.postgres import execute

_SQLITE = """
    WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {count})
    INSERT INTO accounts (user_id, plan, changed) SELECT 'user-' || n, 'free', n FROM number
"""
_POSTGRES = """
    INSERT INTO accounts (user_id, plan, changed) SELECT 'user-' || n, 'free', n FROM generate_series(1, {count}) AS n
"""
_VERSION = "UPDATE ledger_meta SET value = '{count}' WHERE key = 'directory'"


def accounts(url: str, count: int) -> None:
    """So many users `user-1`, `user-2` and so on, with the plan `free`."""
    with open_clerk(url):
        pass
    scheme, _, rest = url.partition(":")
    if scheme == "sqlite":
        with closing(sqlite3.connect(rest)) as connection:
            connection.execute(_SQLITE.format(count=count))
            connection.execute(_VERSION.format(count=count))
            connection.commit()
    else:
        execute(rest, _POSTGRES.format(count=count))
        execute(rest, _VERSION.format(count=count))
