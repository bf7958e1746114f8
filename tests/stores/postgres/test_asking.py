import psycopg2
import pytest

from gatewayd.errors import StoreError
from gatewayd.stores.postgres import schema
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
