"""What is on its way into the ledger: in which order it goes there, and what it will change, by account."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gatewayd.books.backlog import MOST_SORTED, Backlog
from gatewayd.model import Account, Posting
from tests.stores.ledgers import ALICE, posting

POSTINGS = st.lists(
    st.builds(
        lambda user, unit, quantity, drawn: posting(
            account=ALICE._replace(user_id=user, unit=unit), quantity=quantity, drawn=drawn
        ),
        st.sampled_from(["alice", "bob", "carol"]),
        st.sampled_from(["api_calls", "tokens"]),
        st.integers(5, 9),
        st.integers(0, 5),
    )
)


def of(user: str, postings: list[Posting]) -> list[int]:
    return [id(each) for each in postings if each.user_id == user]


def test_a_record_counts_in_the_period_in_which_it_began() -> None:
    assert posting().account == ALICE


@given(steps=st.lists(st.tuples(POSTINGS, st.integers(0, 3))), most=st.integers(1, 5))
def test_everything_is_posted_once_and_each_users_records_in_their_order(
    steps: list[tuple[list[Posting], int]], most: int
) -> None:
    backlog, added, done = Backlog(), list[Posting](), list[Posting]()
    for postings, batches in steps:
        backlog.add(postings)
        added += postings
        for _ in range(batches):
            done += (batch := backlog.first(most))
            assert len(batch) <= most
            accounts = dict.fromkeys([each.account for each in batch])
            assert backlog.whose() == set(accounts) or not batch
            assert backlog.done() == {account: drawn(account, list(batch)) for account in accounts}
    while batch := backlog.first(most):
        done += batch
        backlog.done()
    for user in ("alice", "bob", "carol"):
        assert of(user, done) == of(user, added)
    assert (len(backlog), backlog.added, backlog.posted) == (0, len(added), len(done))
    assert not backlog.drawn
    assert not any(backlog.beyond(each.account) for each in added)


@given(steps=st.lists(st.tuples(POSTINGS, st.integers(0, 3))))
def test_what_waits_counts_until_it_is_done_and_is_posted_only_with_all_before_it(
    steps: list[tuple[list[Posting], int]],
) -> None:
    backlog, added, left = Backlog(), list[Posting](), list[Posting]()
    for postings, batches in steps:
        backlog.add(postings)
        added += postings
        left += postings
        for _ in range(batches):
            batch = backlog.first(3)
            assert backlog.first(3) == batch, "what failed is tried again as it was"
            backlog.done()
            left = [each for each in left if not any(each is one for one in batch)]
        assert len(backlog) == len(left)
        assert not any(each is one for each in left for one in added[: backlog.posted])
        whose = [each.account for each in left]
        assert backlog.drawn == {who: n for who in whose if (n := drawn(who, left))}
        for who in [each.account for each in added]:
            assert (backlog.drawn_by(who), backlog.beyond(who)) == (drawn(who, left), beyond(who, left))


def drawn(account: Account, postings: list[Posting]) -> int:
    return sum(each.drawn for each in postings if each.account == account)


def beyond(account: Account, postings: list[Posting]) -> int:
    return sum(each.quantity - each.drawn for each in postings if each.account == account)


def test_an_accounts_records_are_together_and_batches_are_about_as_long_as_each_other() -> None:
    backlog = Backlog()
    backlog.add([posting(account=ALICE._replace(user_id=f"user {number % 40:02}")) for number in range(210)])
    batches = []
    while batch := backlog.first(100):
        batches.append(batch)
        backlog.done()
    assert [len(batch) for batch in batches] == [70, 70, 70]
    accounts = [each.account for batch in batches for each in batch]
    assert sum(before != after for before, after in pairwise(accounts)) == 39


def test_so_many_are_sorted_at_a_time_and_the_others_wait() -> None:
    backlog = Backlog()
    backlog.add([posting()] * (MOST_SORTED + 1))
    begun = [backlog.begun]
    assert len(backlog.first(MOST_SORTED * 2)) == MOST_SORTED
    begun.append(backlog.begun)
    backlog.done()
    begun.append(backlog.begun)
    assert begun == [False, True, False]
    assert (len(backlog), backlog.posted) == (1, MOST_SORTED)
