"""What is on its way into the ledger, by account."""

from hypothesis import given
from hypothesis import strategies as st

from gatewayd.books.backlog import MOST, Backlog, account_of
from gatewayd.model import Account, Posting
from tests.stores.ledgers import ALICE, posting

POSTINGS = st.lists(
    st.builds(
        lambda user, quantity, drawn: posting(account=ALICE._replace(user_id=user), quantity=quantity, drawn=drawn),
        st.sampled_from(["alice", "bob"]),
        st.integers(5, 9),
        st.integers(0, 5),
    )
)


def test_a_record_counts_in_the_period_in_which_it_began() -> None:
    assert account_of(posting()) == ALICE


@given(batches=st.lists(POSTINGS), sizes=st.lists(st.integers(0, 5)))
def test_what_waits_is_what_was_added_and_is_not_done(batches: list[list[Posting]], sizes: list[int]) -> None:
    backlog, waiting = Backlog(), list[Posting]()
    for postings, size in zip(batches, [*sizes, *[3] * len(batches)], strict=False):
        backlog.add(postings)
        waiting += postings
        done = backlog.first(size)
        assert list(backlog.done(done)) == list(dict.fromkeys(map(account_of, done)))
        del waiting[:size]
        assert backlog.first(MOST) == tuple(waiting)
        assert backlog.added - backlog.posted == len(backlog) == len(waiting)
        for user in ("alice", "bob"):
            account = Account(user, "api_calls", "2025-11")
            own = [each for each in waiting if each.record.user_id == user]
            assert backlog.drawn[account] == sum(each.drawn for each in own)
            assert backlog.beyond[account] == sum(each.record.quantity - each.drawn for each in own)
    assert all(backlog.drawn.values()) or waiting
