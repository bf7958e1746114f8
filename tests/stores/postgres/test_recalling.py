from gatewayd.model import Account
from gatewayd.stores.base import Batch, Recall
from tests.stores.ledgers import ALICE, batch, posting, want
from tests.stores.postgres.stores import opened

BOB = Account("bob", "api_calls", "2025-11")
STRANGE = Account("a\0b", "api_calls", "2025-11")


async def test_every_other_daemon_with_units_is_asked_and_learns_of_it(rest: str) -> None:
    async with opened(rest) as one, opened(rest) as two:
        await one.lease("a", [want(most=3), want(BOB, most=3)])
        await two.lease("b", [want(most=3)])
        await two.post("c", Batch(in_flight={ALICE: 1}))
        recalls = await two.recall("b", [ALICE, BOB, ALICE, STRANGE])
        assert sorted(recalls) == [Recall("a", ALICE, 1), Recall("a", BOB, 1)]
        assert await one.recalled("a") == {ALICE: 1, BOB: 1}
        assert await two.recalled("b") == {}
        assert await two.recalled("c") == {}
        assert sorted(await two.unanswered(recalls)) == sorted(recalls)


async def test_an_answer_is_counted_in_the_transaction_that_gives_the_units_back(rest: str) -> None:
    async with opened(rest) as store:
        await store.lease("a", [want(most=5)])
        recalls = await store.recall("b", [ALICE])
        await store.post("a", Batch(returned={ALICE: 2}, answered={ALICE: 1}))
        assert await store.unanswered(recalls) == []
        assert await store.recalled("a") == {}
        assert await store.leases("a") == {ALICE: 3}
        again = await store.recall("b", [ALICE])
        assert again == [Recall("a", ALICE, 2)]
        assert await store.recalled("a") == {ALICE: 2}
        assert await store.unanswered([*again, *recalls, *again]) == [*again, *again]


async def test_an_answer_to_an_earlier_recall_leaves_the_later_one_open(rest: str) -> None:
    async with opened(rest) as store:
        await store.lease("a", [want(most=5)])
        first, second = await store.recall("b", [ALICE]), await store.recall("c", [ALICE])
        await store.post("a", Batch(answered={ALICE: 1}))
        assert await store.unanswered([*first, *second]) == second
        await store.post("a", Batch(answered={ALICE: 99}))
        assert await store.unanswered([*first, *second]) == []
        third = await store.recall("b", [ALICE])
        assert await store.unanswered(third) == third


async def test_a_lease_that_is_used_up_or_gone_is_an_answer_even_if_another_follows(rest: str) -> None:
    async with opened(rest) as store:
        await store.lease("a", [want(most=2)])
        recalls = await store.recall("b", [ALICE])
        await store.post("a", Batch([posting(quantity=2)], in_flight={ALICE: 1}))
        assert await store.unanswered(recalls) == []
        await store.post("a", Batch(in_flight={ALICE: 0}))
        assert await store.recalled("a") == {}
        await store.lease("a", [want(most=2)])
        assert await store.unanswered(recalls) == []


async def test_an_answer_for_a_lease_that_is_not_there_makes_none(rest: str) -> None:
    async with opened(rest) as store:
        await store.post("a", Batch(answered={ALICE: 1}))
        await store.post("b", batch(posting(drawn=0)))
        assert await store.recall("b", [ALICE]) == []
        assert await store.unanswered([]) == []
        assert await store.recall("b", []) == []
