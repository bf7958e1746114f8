import pytest

from gatewayd.errors import StoreError
from gatewayd.model import DirectoryPage, Revocation
from gatewayd.stores.postgres import schema
from gatewayd.stores.postgres.clerk import open_clerk
from gatewayd.stores.postgres.reader import open_reader
from tests import postgres
from tests.stores.postgres.stores import opened


async def refusal(rest: str) -> str:
    """What the daemon says; commands must say the same."""
    said = set()
    with pytest.raises(StoreError) as refused:
        async with opened(rest):
            pass
    said.add(str(refused.value))
    for command in (open_reader, open_clerk):
        with pytest.raises(StoreError) as refused, command(rest):
            pass
        said.add(str(refused.value))
    (only,) = said
    assert postgres.PASSWORD not in only
    return only


async def test_tables_of_another_program_are_left_alone(postgres: postgres.Server) -> None:
    database = postgres.database()
    postgres.execute("CREATE TABLE accounts (number int)", database)
    said = await refusal(postgres.rest(database))
    assert "another program (schema public: accounts): name another database" in said
    assert postgres.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", database) == [(1,)]


async def test_another_program_s_other_tables_are_no_hindrance(postgres: postgres.Server) -> None:
    database = postgres.database()
    postgres.execute("CREATE TABLE orders (number int)", database)
    async with opened(postgres.rest(database)) as store:
        assert await store.leases("a") == {}


async def test_a_schema_of_its_own_beside_another_program_is_enough(postgres: postgres.Server) -> None:
    database = postgres.database()
    postgres.execute("CREATE TABLE accounts (number int)", database)
    postgres.execute("CREATE SCHEMA gateway", database)
    async with opened(postgres.rest(database) + "&options=-csearch_path%3Dgateway") as store:
        assert await store.leases("a") == {}
    assert "schema to make tables in" in await refusal(postgres.rest(database) + "&options=-csearch_path%3Dnowhere")


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        pytest.param("UPDATE ledger_meta SET value = '99' WHERE key = 'schema_version'", "newer gatewayd", id="newer"),
        pytest.param("UPDATE ledger_meta SET value = 'x' WHERE key = 'schema_version'", "another program", id="odd"),
        pytest.param("DELETE FROM ledger_meta", "another program", id="no version"),
        pytest.param("DROP TABLE usage_leases", "lacks usage_leases: restore", id="a table is missing"),
    ],
)
async def test_a_ledger_that_cannot_be_used_is_refused(postgres: postgres.Server, statement: str, said: str) -> None:
    database = postgres.database()
    rest = postgres.rest(database)
    async with opened(rest):
        pass
    postgres.execute(statement, database)
    assert said in await refusal(rest)


async def test_a_database_in_another_encoding_is_refused(postgres: postgres.Server) -> None:
    database = postgres.database(ENCODING="'LATIN1'", TEMPLATE="template0")
    assert "make its database with ENCODING 'UTF8'" in await refusal(postgres.rest(database))


async def test_a_ledger_of_an_older_gatewayd_is_brought_up_to_date_by_the_daemon_alone(
    postgres: postgres.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = postgres.database()
    rest = postgres.rest(database)
    async with opened(rest):
        pass
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, "ALTER TABLE accounts ADD COLUMN extra text"))
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    for command in (open_reader, open_clerk):
        with pytest.raises(StoreError, match="older gatewayd: start the daemon once"), command(rest):
            pass
    async with opened(rest):
        pass
    assert postgres.execute("SELECT extra FROM accounts", database) == []
    with open_reader(rest) as reader:
        assert reader.end() == (0, "0" * 64)


async def test_decisions_of_schema_1_are_numbered_beyond_what_its_daemons_knew(postgres: postgres.Server) -> None:
    database = postgres.database()
    rest = postgres.rest(database)
    postgres.execute(schema.FIRST, database)
    for statement in (
        "UPDATE ledger_meta SET value = '1' WHERE key = 'schema_version'",
        "UPDATE ledger_meta SET value = '9' WHERE key = 'directory'",
        "INSERT INTO accounts VALUES ('bob', 'pro'), ('cat', 'pro'), ('ann', 'pro')",
        "INSERT INTO revocations VALUES ('token', 'x', 2.0), ('all', '', 1.0)",
    ):
        postgres.execute(statement, database)
    async with opened(rest) as store:
        whole = DirectoryPage(0, 12, {"ann": "pro", "bob": "pro", "cat": "pro"}, (), True)
        assert await store.directory(0, 3) == whole
        revoked = (Revocation("all", "", 1.0), Revocation("token", "x", 2.0))
        assert await store.directory(12, 3) == DirectoryPage(12, 14, {}, revoked)
        with open_clerk(rest) as clerk:
            clerk.assign("bob", "free")
        assert await store.directory(14, 3) == DirectoryPage(14, 15, {"bob": "free"})
    async with opened(rest) as store:  # once is enough
        assert await store.directory(14, 3) == DirectoryPage(14, 15, {"bob": "free"})
