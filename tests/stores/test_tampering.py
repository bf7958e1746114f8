"""Whatever is changed in a ledger behind the gateway's back is found, or the documents say why it is not."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gatewayd.errors import StoreError
from gatewayd.model import Revocation
from gatewayd.stores.base import Batch
from gatewayd.stores.verifying import Audit
from tests.clocks import ManualClock
from tests.stores.ledgers import PLACES, Place, batch, posting, want

BILLING = Path(__file__).parents[2] / "docs" / "billing.md"
REFUSED = "the ledger is refused"
# Table, column, what it becomes in one row, and how the line begins that tells; None: docs/billing.md says why not.
CHANGES: list[tuple[str, str, str, str | None]] = [
    ("usage_records", "id", "'r9'", "record r9: does not follow record r1: "),
    ("usage_records", "user_id", "'eve'", "record r2: does not follow record r1: "),
    ("usage_records", "plan", "'gold'", "record r2: does not follow record r1: "),
    ("usage_records", "agent", "'rag'", "record r2: does not follow record r1: "),
    ("usage_records", "route", "'rag'", "record r2: does not follow record r1: "),
    ("usage_records", "unit", "'tokens'", "record r2: does not follow record r1: "),
    ("usage_records", "quantity", "0", "record r2: does not follow record r1: "),
    ("usage_records", "outcome", "'failed'", "record r2: does not follow record r1: "),
    ("usage_records", "status", "500", "record r2: does not follow record r1: "),
    ("usage_records", "started_at", "'2025-11-24T16:00:00.001Z'", "record r2: does not follow record r1: "),
    ("usage_records", "ended_at", "'2025-11-24T16:00:00.001Z'", "record r2: does not follow record r1: "),
    ("usage_records", "bytes_in", "1", "record r2: does not follow record r1: "),
    ("usage_records", "bytes_out", "1", "record r2: does not follow record r1: "),
    ("usage_records", "chain", "'f'", "record r2: does not follow record r1: "),
    ("usage_records", "seq", "9", "record r2: seq is 9, it is the 3. of the chain"),
    ("usage_balances", "user_id", "'eve'", "balance eve api_calls 2025-11: spent is 3, its records add up to 0"),
    ("usage_balances", "unit", "'tokens'", "balance alice tokens 2025-11: spent is 3, its records add up to 0"),
    ("usage_balances", "period", "'2025-12'", "balance alice api_calls 2025-12: spent is 3, its records add up to 0"),
    ("usage_balances", "limit_units", "-1", "balance alice api_calls 2025-11: a column holds what gatewayd never"),
    ("usage_balances", "limit_units", "777", None),
    ("usage_balances", "held", "1", "balance alice api_calls 2025-11: held is 1, its leases add up to 7"),
    ("usage_balances", "spent", "2", "balance alice api_calls 2025-11: spent is 2, its records add up to 3"),
    ("usage_leases", "node", "'node-2'", None),
    ("usage_leases", "user_id", "'eve'", "balance alice api_calls 2025-11: held is 7, its leases add up to 0"),
    ("usage_leases", "unit", "'tokens'", "balance alice api_calls 2025-11: held is 7, its leases add up to 0"),
    ("usage_leases", "period", "'2025-12'", "balance alice api_calls 2025-11: held is 7, its leases add up to 0"),
    ("usage_leases", "units", "8", "balance alice api_calls 2025-11: held is 7, its leases add up to 8"),
    ("usage_leases", "in_flight", "9", None),
    ("usage_leases", "asked", "9", None),
    ("usage_leases", "answered", "9", None),
    ("accounts", "user_id", "'eve'", None),
    ("accounts", "plan", "'gold'", None),
    ("accounts", "changed", "9", "account alice: changed is 9, which no decision was given"),
    ("accounts", "changed", "2", "account alice: changed is 2, which no decision was given"),
    ("accounts", "changed", "0", "account alice: changed is 0, which no decision was given"),
    ("revocations", "kind", "'token'", None),
    ("revocations", "subject", "'eve'", None),
    ("revocations", "issued_until", "9.5", None),
    ("revocations", "changed", "9", "revocation user bob: changed is 9, which no decision was given"),
]
ROWS = {
    "usage_records": "id = 'r2'",
    "usage_balances": "user_id = 'alice'",
    "usage_leases": "node = 'node-1'",
    "accounts": "user_id = 'alice'",
    "revocations": "subject = 'bob'",
}
META = [
    ("head", f"'{'0' * 64}'", "record r2: is not where the ledger ends: "),
    ("records", "'9'", "record r2: is the last one, but 9 records were written, 3 are here"),
    ("records", "'x'", REFUSED),
    ("directory", "'1'", "revocation user bob: changed is 2, which no decision was given"),
    ("schema_version", "'9'", REFUSED),
    ("schema_version", "'x'", REFUSED),
]
META_COLUMNS = ("key", "value")
ONLY_IN = {("usage_records", "seq"): "postgresql"}
COLUMNS = {
    "sqlite": "SELECT m.name, c.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c WHERE m.type = 'table'",
    "postgresql": """SELECT table_name, column_name FROM information_schema.columns
        WHERE table_schema = current_schema()""",
}
KINDS = tuple(PLACES)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def place(kind: str, tmp_path: Path) -> Place:
    """Three records of alice's, of which two are paid out of ten leased units; a plan of hers, and a revocation."""
    place = PLACES[kind](tmp_path)

    async def fill() -> None:
        store = await place.open(ManualClock())
        await store.lease("node-1", [want(most=10)])
        await store.post("node-1", batch(*(posting(f"r{number}") for number in range(3))))
        await store.post("node-1", Batch(in_flight={want().account: 2}))
        await store.close()

    asyncio.run(fill())
    with place.clerk() as clerk:
        clerk.assign("alice", "pro")
        clerk.revoke(Revocation("user", "bob", 7.0))
    return place


def told(place: Place) -> list[str]:
    try:
        with place.read() as reader:
            return list(Audit(reader).faults())
    except StoreError:
        return [REFUSED]


def test_every_change_of_a_column_is_told_or_documented(place: Place, kind: str) -> None:
    """All in one ledger, each undone before the next: making one takes a server longer than that."""
    assert told(place) == []
    for table, column, value, line in changes_of(kind):
        with changed(place, table, f"{column} = {value}", ROWS[table]):
            assert_told(place, line, f"{table}.{column} = {value}")
    assert told(place) == []


def test_every_change_of_what_the_ledger_knows_of_itself_is_told(place: Place) -> None:
    for key, value, line in META:
        with changed(place, "ledger_meta", f"value = {value}", f"key = '{key}'"):
            assert_told(place, line, f"{key} = {value}")
    for key in ("head", "records", "schema_version"):
        with changed(place, "ledger_meta", "key = 'gone'", f"key = '{key}'"):
            assert_told(place, REFUSED, f"no {key}")


@pytest.mark.parametrize(
    ("table", "column", "line"),
    [
        ("usage_records", "quantity", "record r2: a column holds what gatewayd never writes"),
        ("usage_balances", "limit_units", "balance alice api_calls 2025-11: a column holds what gatewayd never"),
        ("usage_balances", "spent", "balance alice api_calls 2025-11: a column holds what gatewayd never"),
        ("usage_balances", "held", "balance alice api_calls 2025-11: held or a lease holds what gatewayd never"),
        ("usage_leases", "units", "balance alice api_calls 2025-11: held or a lease holds what gatewayd never"),
        ("accounts", "changed", "account alice: changed is ten, which no decision was given"),
    ],
)
@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_a_text_that_a_file_lets_into_a_column_of_numbers_is_told(
    place: Place, table: str, column: str, line: str
) -> None:
    with changed(place, table, f"{column} = 'ten'", ROWS[table]):
        assert_told(place, line, f"{table}.{column}")


def test_a_lease_without_a_balance_is_told(place: Place) -> None:
    place.tamper("INSERT INTO usage_leases VALUES ('node-1', 'eve', 'api_calls', '2025-11', 5, 0, 0, 0)")
    assert told(place) == ["balance eve api_calls 2025-11: held is 0, its leases add up to 5"]


def test_every_column_there_is_stands_in_the_table(kind: str, tmp_path: Path) -> None:
    with (place := PLACES[kind](tmp_path)).clerk():
        pass
    named = {(table, column) for table, column, _, _ in changes_of(kind)} | {
        ("ledger_meta", each) for each in META_COLUMNS
    }
    assert set(place.tamper(COLUMNS[kind])) == named


def test_the_documents_say_of_just_those_columns_that_they_are_not_seen() -> None:
    section = BILLING.read_text().partition("## What `ledger verify` sees")[2]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    documented = {name for cell in cells for name in re.findall(r"`(\w+\.\w+)`", cell)}
    assert documented == {f"{table}.{column}" for table, column, _, line in CHANGES if line is None}


def changes_of(kind: str) -> list[tuple[str, str, str, str | None]]:
    return [each for each in CHANGES if ONLY_IN.get(each[:2], kind) == kind]


@contextmanager
def changed(place: Place, table: str, assignment: str, row: str) -> Iterator[None]:
    """For the length of a `with`."""
    place.tamper(f"CREATE TABLE saved AS SELECT * FROM {table}")
    place.tamper(f"UPDATE {table} SET {assignment} WHERE {row}")
    try:
        yield
    finally:
        place.tamper(f"DELETE FROM {table}")
        place.tamper(f"INSERT INTO {table} SELECT * FROM saved")
        place.tamper("DROP TABLE saved")


def assert_told(place: Place, line: str | None, what: str) -> None:
    found = told(place)
    assert (found == []) if line is None else any(each.startswith(line) for each in found), (what, found)
