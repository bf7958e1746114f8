"""The usage page's questions to PostgreSQL; what they are answered is in tests/stores/test_usage_contract.py."""

import pytest

from gatewayd.errors import StoreError
from gatewayd.stores.postgres.usage import open_usage
from tests.postgres import shared_server


def test_where_there_is_no_ledger_it_is_named() -> None:
    with pytest.raises(StoreError, match="usage_balances"), open_usage(shared_server().space()) as reader:
        reader.count("2025-11")


def test_a_server_that_is_away_is_named_without_its_password() -> None:
    with (
        pytest.raises(StoreError) as found,
        open_usage("//ann:s3cret@127.0.0.1:1/nothing") as reader,
    ):
        reader.count("2025-11")
    assert "127.0.0.1:1" in str(found.value)
    assert "s3cret" not in str(found.value)
