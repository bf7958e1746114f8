"""The tables, made at first start, and how a database is recognised as ours before anything is written to it."""

from collections.abc import Sequence
from typing import Final

from gatewayd.errors import StoreError

# Texts compare byte by byte, as in SQLite, whatever language the database was made for.
FIRST: Final = """
    CREATE TABLE usage_records (
        id text COLLATE "C" PRIMARY KEY,
        user_id text COLLATE "C" NOT NULL,
        plan text COLLATE "C" NOT NULL,
        agent text COLLATE "C" NOT NULL,
        route text COLLATE "C" NOT NULL,
        unit text COLLATE "C" NOT NULL,
        quantity bigint NOT NULL,
        outcome text COLLATE "C" NOT NULL,
        status bigint NOT NULL,
        started_at text COLLATE "C" NOT NULL,
        ended_at text COLLATE "C" NOT NULL,
        bytes_in bigint NOT NULL,
        bytes_out bigint NOT NULL,
        chain text COLLATE "C" NOT NULL,
        seq bigint NOT NULL UNIQUE
    );
    CREATE INDEX usage_records_by_account ON usage_records (user_id, unit, started_at);
    CREATE TABLE usage_balances (
        user_id text COLLATE "C" NOT NULL,
        unit text COLLATE "C" NOT NULL,
        period text COLLATE "C" NOT NULL,
        limit_units bigint NOT NULL,
        held bigint NOT NULL,
        spent bigint NOT NULL,
        PRIMARY KEY (user_id, unit, period)
    );
    CREATE TABLE usage_leases (
        node text COLLATE "C" NOT NULL,
        user_id text COLLATE "C" NOT NULL,
        unit text COLLATE "C" NOT NULL,
        period text COLLATE "C" NOT NULL,
        units bigint NOT NULL,
        in_flight bigint NOT NULL,
        asked bigint NOT NULL DEFAULT 0,
        answered bigint NOT NULL DEFAULT 0,
        PRIMARY KEY (user_id, unit, period, node)
    );
    CREATE INDEX usage_leases_recalled ON usage_leases (node) WHERE asked > answered;
    CREATE TABLE accounts (user_id text COLLATE "C" PRIMARY KEY, plan text COLLATE "C" NOT NULL);
    CREATE TABLE revocations (
        kind text COLLATE "C" NOT NULL,
        subject text COLLATE "C" NOT NULL,
        issued_until double precision NOT NULL,
        PRIMARY KEY (kind, subject)
    );
    CREATE TABLE ledger_meta (key text COLLATE "C" PRIMARY KEY, value text COLLATE "C" NOT NULL);
    INSERT INTO ledger_meta VALUES
        ('schema_version', '0'), ('records', '0'), ('head', repeat('0', 64)), ('directory', '0')
"""
# The directory's version with which a row was changed, another one for each, so that only what is new is read.
CHANGES: Final = """
    ALTER TABLE accounts ADD COLUMN changed bigint NOT NULL DEFAULT 0;
    ALTER TABLE revocations ADD COLUMN changed bigint NOT NULL DEFAULT 0;
    SELECT FROM ledger_meta WHERE key = 'directory' FOR UPDATE;
    UPDATE accounts SET changed = place FROM (
        SELECT user_id AS known, row_number() OVER (ORDER BY user_id) + (
            SELECT value::bigint FROM ledger_meta WHERE key = 'directory'
        ) AS place FROM accounts
    ) AS numbered WHERE user_id = known;
    UPDATE revocations SET changed = place FROM (
        SELECT kind AS known, subject AS whose, row_number() OVER (ORDER BY kind, subject) + (
            SELECT value::bigint FROM ledger_meta WHERE key = 'directory'
        ) + (SELECT count(*) FROM accounts) AS place FROM revocations
    ) AS numbered WHERE kind = known AND subject = whose;
    UPDATE ledger_meta SET value = (
        value::bigint + (SELECT count(*) FROM accounts) + (SELECT count(*) FROM revocations)
    )::text WHERE key = 'directory';
    CREATE INDEX accounts_by_change ON accounts (changed);
    CREATE INDEX revocations_by_change ON revocations (changed)
"""
# The one at place n brings a ledger of schema n to n + 1. Never change one that was released.
MIGRATIONS: Final = (FIRST, CHANGES)
VERSION: Final = len(MIGRATIONS)
TABLES: Final = (
    "accounts",
    "ledger_meta",
    "revocations",
    "usage_balances",
    "usage_leases",
    "usage_records",
)

# Daemons and clerks that start at once take turns; the lock ends with its transaction ("gatewayd" in ASCII).
LOCK: Final = f"BEGIN; SELECT pg_advisory_xact_lock({int.from_bytes(b'gatewayd', 'big')})"
EXAMINE: Final = """
    SELECT current_setting('server_encoding'), coalesce(current_schema(), ''), ARRAY(
        SELECT relation.relname || '.' || attname FROM pg_attribute
        JOIN pg_class AS relation ON relation.oid = attrelid
        JOIN pg_namespace AS space ON space.oid = relation.relnamespace
        WHERE space.nspname = current_schema() AND relation.relname = ANY (%s) AND attnum > 0 AND NOT attisdropped
    )::text[]
"""
SET_VERSION: Final = "UPDATE ledger_meta SET value = %s WHERE key = 'schema_version'"
SELECT_VERSION: Final = "SELECT value FROM ledger_meta WHERE key = 'schema_version'"


def examine(name: str, found: tuple[str, str, Sequence[str]]) -> bool:
    """Whether the answer to EXAMINE shows a ledger, whose version can be asked; else there is room for one.

    Raises StoreError for a database that cannot have one.
    """
    encoding, schema, columns = found
    if encoding != "UTF8":
        raise StoreError(f"ledger {name} is encoded in {encoding}: make its database with ENCODING 'UTF8'")
    if not schema:
        raise StoreError(f"ledger {name} has no schema to make tables in: correct its search_path, or make the schema")
    if {"ledger_meta.key", "ledger_meta.value"} <= set(columns):
        return True
    if columns:
        tables = ", ".join(sorted({column.partition(".")[0] for column in columns}))
        raise StoreError(
            f"ledger {name} has tables of another program (schema {schema}: {tables}): name another database in "
            "ledger.url, or another schema with ?options=-csearch_path%3DSCHEMA"
        )
    return False


def judge(name: str, found: tuple[str, str, Sequence[str]], version: Sequence[tuple[str]]) -> int:
    """The schema of the ledger, from the answer to SELECT_VERSION. Raises StoreError."""
    if not version or not version[0][0].isdecimal():
        raise StoreError(f"ledger {name} has a table ledger_meta of another program: name another database")
    number = int(version[0][0])
    if number > VERSION:
        raise StoreError(
            f"ledger {name} was made by a newer gatewayd (schema {number}, this one knows {VERSION}): "
            "upgrade gatewayd, or name another database in ledger.url"
        )
    if missing := set(TABLES) - {column.partition(".")[0] for column in found[2]}:
        raise StoreError(f"ledger {name} lacks {', '.join(sorted(missing))}: restore it from a backup")
    return number


def script(version: int) -> str:
    """What makes a ledger of that schema (0: of none) one of VERSION, which it takes as its value, and commits."""
    return ";".join((*MIGRATIONS[version:], SET_VERSION, "COMMIT"))
