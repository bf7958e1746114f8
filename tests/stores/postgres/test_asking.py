import psycopg2
import pytest

from gatewayd.errors import StoreError
from gatewayd.stores.postgres import asking, schema
from gatewayd.stores.postgres.address import located
from gatewayd.stores.postgres.asking import connected, examined, named
from tests import postgres
from tests.stores.postgres.stores import opened


async def test_the_schema_of_a_ledger_is_asked_without_making_one(rest: str) -> None:
    address = located(rest)
    with connected(address) as connection:
        assert examined(connection, address) == 0
    async with opened(rest):
        pass
    with connected(address) as connection:
        assert examined(connection, address) == schema.VERSION


def test_the_drivers_errors_are_put_into_words_without_the_password(rest: str) -> None:
    with (
        pytest.raises(StoreError, match=r"ledger postgresql://.* cannot be used \(away\)") as told,
        named(located(rest)),
    ):
        raise psycopg2.OperationalError("away")
    assert postgres.PASSWORD not in str(told.value)


def test_a_server_that_stands_still_in_the_middle_of_an_answer_is_given_up_in_time(
    postgres: postgres.Server, rest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the fifth of a second of silence, and the two seconds to connect anew; else it would never come back."""
    monkeypatch.setattr(asking, "SILENCE_SECONDS", 0.2)
    address = located(rest + "&connect_timeout=2")
    with (
        pytest.raises(
            StoreError, match=r"ledger postgresql://.* cannot be used \(.*\): start it, or correct ledger.url"
        ),
        connected(address) as connection,
        postgres.frozen(),
        named(address),
        connection,
        connection.cursor() as one,
    ):
        one.execute("SELECT 1")
    with connected(address) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def test_a_server_that_is_busy_with_a_long_answer_is_waited_for(rest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "SILENCE_SECONDS", 0.05)
    with connected(located(rest)) as connection, connection.cursor("records") as cursor:
        cursor.execute("SELECT pg_sleep(0.3), 7")
        assert cursor.fetchone()[1] == 7
