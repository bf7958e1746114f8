from gatewayd.model import Account
from gatewayd.stores.base import Batch
from gatewayd.stores.postgres.reader import open_reader
from tests import postgres
from tests.stores.ledgers import ALICE, batch, posting, want
from tests.stores.postgres.stores import audited, opened


async def test_a_row_tells_its_place_in_the_chain(rest: str) -> None:
    async with opened(rest) as store:
        await store.post("a", batch(posting("z"), posting("y")))
        await store.post("b", batch(posting("y"), posting("x")))
    assert postgres.execute(rest, "SELECT id, seq FROM usage_records ORDER BY seq") == [("z", 1), ("y", 2), ("x", 3)]
    with open_reader(rest) as reader:
        assert [row.id for row in reader.records()] == ["z", "y", "x"]


async def test_a_text_that_no_table_holds_costs_the_batch_nothing_else(rest: str) -> None:
    strange = Account("a\0b", "api_calls", "2025-11")
    async with opened(rest) as store:
        await store.lease("a", [want(most=5)])
        await store.post("a", Batch([posting("\ud800"), posting("r1"), posting("r2", account=strange)], {strange: 1}))
    assert audited(rest) == {ALICE: (100, 4, 1)}


async def test_a_lease_is_gone_from_the_table_once_it_is_empty_and_idle(rest: str) -> None:
    async with opened(rest) as store:
        await store.lease("a", [want(most=2)])
        await store.post("a", Batch([posting(quantity=2)], in_flight={ALICE: 1}))
        assert postgres.execute(rest, "SELECT units, in_flight FROM usage_leases") == [(0, 1)]
        await store.post("a", Batch(in_flight={ALICE: 0}))
        assert postgres.execute(rest, "SELECT count(*) FROM usage_leases") == [(0,)]


async def test_an_empty_batch_changes_nothing(rest: str) -> None:
    async with opened(rest) as store:
        await store.post("a", Batch())
        await store.post("a", Batch(returned={ALICE: 5}, in_flight={ALICE: 0}))
    assert audited(rest) == {}
