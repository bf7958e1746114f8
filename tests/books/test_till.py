"""What a daemon that is alone with its ledger counts in memory, and which rows follow when."""

from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gatewayd.books import till as tills
from gatewayd.books.till import Till
from gatewayd.model import Account
from gatewayd.stores.base import Grant, Standing, Want
from tests.books.offices import Office, office
from tests.stores.ledgers import ALICE, hold, record

BOB = ALICE._replace(user_id="bob")
NEW = Standing(None, 0)
KNOWN = Standing(100, 0)


def want(most: int, *, account: Account = ALICE, least: int = 1, limit: int = 100) -> Want:
    return Want(account, limit, least, most)


def test_it_grants_what_is_left_and_no_more() -> None:
    till = Till()
    assert till.grant(want(60), Standing(100, 30), 0.0) == Grant(60, 100, 30, 60, 0)
    assert till.grant(want(60), Standing(100, 30), 0.0) == Grant(10, 100, 30, 70, 0)
    assert till.grant(want(60), Standing(100, 30), 0.0) == Grant(0, 100, 30, 70, 0)
    assert till.grant(want(60, limit=50), Standing(100, 30), 0.0) == Grant(0, 50, 30, 70, 0)
    till.take_back({ALICE: 40}, 0.0)
    assert till.grant(want(60, least=40), Standing(100, 30), 0.0) == Grant(40, 100, 30, 70, 0)


def test_an_account_that_cannot_be_stored_is_granted_nothing() -> None:
    till = Till()
    assert till.grant(want(5), None, 0.0) == Grant(0, 100, 0, 0, 0)
    assert till.sheet((), {}, 99.0, whole=True) == ({}, {}, set())


def test_a_lease_that_is_back_before_its_row_is_due_has_none() -> None:
    till = Till()
    till.grant(want(5), KNOWN, 10.0)
    till.charged({ALICE: 2}, 10.5)
    assert till.sheet((), {}, 10.0 + tills.ROW_SECONDS - 0.1, whole=False).leased == {}
    till.take_back({ALICE: 3}, 12.0)
    assert till.sheet((), {}, 99.0, whole=False).leased == {}


def test_a_lease_has_its_row_once_it_is_so_old_or_a_request_is_seen_to_use_it_or_all_are_asked_for() -> None:
    till = Till()
    till.grant(want(5), KNOWN, 10.0)
    till.grant(want(6, account=BOB), KNOWN, 11.0)
    assert till.sheet((), {}, 10.0 + tills.ROW_SECONDS, whole=False).leased == {ALICE: 5}
    assert till.sheet((), {BOB: 2, ALICE: 0}, 11.0, whole=False).leased == {BOB: 6}
    assert till.sheet((), {}, 11.0, whole=True).leased == {ALICE: 5, BOB: 6}
    till.written(till.sheet((), {}, 11.0, whole=True))
    assert till.sheet((), {}, 99.0, whole=True).leased == {}


def test_a_row_that_says_more_than_is_out_follows_at_once() -> None:
    till = Till()
    till.grant(want(5), KNOWN, 10.0)
    till.written(till.sheet((), {}, 10.0, whole=True))
    till.take_back({ALICE: 2}, 10.0)
    assert till.sheet((), {}, 10.0, whole=False).leased == {ALICE: 3}


def test_the_limit_of_a_balance_is_due_at_once_where_it_is_another_one() -> None:
    till = Till()
    till.grant(want(5), KNOWN, 10.0)
    assert till.sheet((), {}, 10.0, whole=False).limits == {}
    till.grant(want(5, account=BOB), NEW, 10.0)
    assert till.owes_limits
    sheet = till.sheet((), {}, 10.0, whole=False)
    assert sheet.limits == {BOB: 100}
    till.grant(want(5, account=BOB, limit=50), NEW, 10.0)
    till.written(sheet)
    sheet = till.sheet((), {}, 10.0, whole=False)
    assert sheet.limits == {BOB: 50}, "another one came while these were written"
    till.written(sheet)
    assert till.sheet((), {}, 10.0, whole=False).limits == {}


def test_records_draw_from_rows_that_have_something() -> None:
    till = Till()
    till.grant(want(5), KNOWN, 10.0)
    till.grant(want(5, account=BOB), KNOWN, 10.0)
    till.written(till.sheet((), {ALICE: 1}, 10.0, whole=False))
    assert till.sheet((ALICE, BOB), {}, 10.0, whole=False).rowless == {BOB}
    assert till.sheet((ALICE, BOB), {BOB: 1}, 10.0, whole=False).rowless == set()
    till.take_back({ALICE: 5}, 10.0)
    assert till.sheet((ALICE, BOB), {}, 10.0, whole=False).rowless == {ALICE, BOB}


class Rows:
    """What the tables would say, as slowly as it can be written."""

    def __init__(self) -> None:
        self.leases: Counter[Account] = Counter()
        self.spent: Counter[Account] = Counter()


@given(st.lists(st.tuples(st.sampled_from("gbswx"), st.sampled_from([ALICE, BOB]), st.integers(0, 40))))
def test_rows_never_say_more_than_is_out_and_all_of_it_in_the_end(steps: list[tuple[str, Account, int]]) -> None:
    till, rows, out, now = Till(), Rows(), Counter[Account](), 0.0
    for step, account, units in steps:
        now += units / 20
        match step:
            case "g":
                grant = till.grant(want(units, account=account), Standing(100, rows.spent[account]), now)
                out[account] += grant.units
                assert out[account] + rows.spent[account] <= 100
            case "b":
                out[account] -= (back := min(units, out[account]))
                till.take_back({account: back}, now)
            case _:
                drawn = min(units, out[account]) if step == "s" else 0
                sheet = till.sheet((account,), {}, now, whole=step == "w")
                rows.leases.update({each: n - rows.leases[each] for each, n in sheet.leased.items()})
                till.written(sheet)
                assert (account in sheet.rowless) == (not rows.leases[account])
                rows.leases[account] -= min(drawn, rows.leases[account])
                rows.spent[account] += drawn
                out[account] -= drawn
                till.charged({account: drawn}, now)
                assert all(rows.leases[each] <= out[each] for each in out)
    till.written(sheet := till.sheet((), {}, now, whole=True))
    rows.leases.update({each: n - rows.leases[each] for each, n in sheet.leased.items()})
    assert +rows.leases == +out


def rows_written(books: Office) -> int:
    assert books.bookkeeper is not None
    store = books.bookkeeper._vault._store
    return int(store._committer._connection.total_changes)  # type: ignore[union-attr]


async def test_a_user_who_comes_once_costs_a_record_and_no_row_of_a_lease(tmp_path: Path) -> None:
    async with office(tmp_path) as books:
        worker = await books.worker()
        await worker.hold(first := hold("r1"))
        worker.settle(record(first))
        await worker.balances("alice", "2025-11")  # all is posted then
        before = rows_written(books)
        await worker.hold(again := hold("r2", user="bob"))
        worker.settle(record(again))
        await worker.balances("bob", "2025-11")
        # The balance, what it is charged, the record, and the chain's end and length.
        assert rows_written(books) - before == 5
        await worker.close()
    assert sum(books.audit().values()) == 2
