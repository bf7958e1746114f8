"""What every UsageReader promises, whatever it is made of."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gatewayd.model import Account, Outcome, posting_of
from gatewayd.stores.base import Batch, LedgerStore
from gatewayd.stores.reading import Stretch, Used
from tests.clocks import ManualClock
from tests.stores.ledgers import NOVEMBER, PLACES, Place, batch, hold, posting, record, want

DAY = 86_400
MONTH = "2025-11"


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return PLACES[request.param](tmp_path)


@pytest.fixture
async def store(place: Place, clock: ManualClock) -> AsyncIterator[LedgerStore]:
    store = await place.open(clock)
    yield store
    await store.close()


async def spend(store: LedgerStore, user: str, spent: int, limit: int, *, period: str = MONTH, **more: str) -> None:
    """Let a user have spent so much of a limit (0: none)."""
    account = Account(user, more.get("unit", "api_calls"), period)
    if limit:
        await store.lease("node-1", [want(account, limit=limit, least=spent, most=spent)])
    drawn = spent if limit else 0
    await store.post("node-1", batch(posting(f"{user}-{period}-{spent}", account=account, quantity=spent, drawn=drawn)))


def names(place: Place, period: str = MONTH, **asked: int | str) -> list[str]:
    with place.usage() as reader:
        rows = reader.standings(period, **({"most": 100} | asked))  # type: ignore[arg-type]
        return [row.balance.user_id for row in rows]


async def test_who_is_nearest_to_a_limit_comes_first_and_who_has_none_last(store: LedgerStore, place: Place) -> None:
    await spend(store, "half", 50, 100)
    await spend(store, "full", 3, 3)
    await spend(store, "free", 10**6, 0)
    await spend(store, "none", 1, 1000)
    await spend(store, "past", 9, 9, period="2025-10")
    assert names(place) == ["full", "half", "none", "free"]
    assert names(place, most=2) == ["full", "half"]
    assert names(place, most=2, skip=2) == ["none", "free"]
    assert names(place, "2025-10") == ["past"]
    assert names(place, "2025-09") == []
    with place.usage() as reader:
        assert (reader.count(MONTH), reader.count("2025-10"), reader.count("2025-09")) == (4, 1, 0)


@pytest.mark.parametrize("user", ["ann", "<script>", "%_", "ä", "a'b", "", "_"])
async def test_users_are_found_by_how_their_names_begin(store: LedgerStore, place: Place, user: str) -> None:
    for name in (user + "1", user + "2", "zoe"):
        await spend(store, name, 1, 10)
    expected = sorted({user + "1", user + "2", *(["zoe"] if not user else [])})
    assert sorted(names(place, user=user)) == expected
    with place.usage() as reader:
        assert reader.count(MONTH, user=user) == len(expected)


@pytest.mark.parametrize("user", ["\x00", "\ud800"])
async def test_a_name_that_nobody_can_have_finds_nobody(store: LedgerStore, place: Place, user: str) -> None:
    await spend(store, "ann", 1, 10)
    if user == "\ud800":
        user = user.encode("utf-8", "replace").decode()  # as it comes out of an address
    assert names(place, user=user) == []
    with place.usage() as reader:
        assert (reader.count(MONTH, user=user), reader.used_by(user, MONTH), reader.standings_of(user, MONTH)) == (
            0,
            [],
            [],
        )


async def test_a_standing_has_the_balance_and_the_plan(store: LedgerStore, place: Place) -> None:
    await spend(store, "ann", 4, 10)
    await store.lease("node-1", [want(Account("ann", "api_calls", MONTH), limit=10, least=2, most=2)])
    await store.post("node-1", Batch(in_flight={Account("ann", "api_calls", MONTH): 2}))
    await store.lease("node-1", [want(Account("new", "api_calls", MONTH), limit=10)])
    with place.usage() as reader:
        ann, new = reader.standings(MONTH, most=10)
    assert (ann.balance.limit, ann.balance.held, ann.balance.spent, ann.plan) == (10, 2, 4, "free")
    assert (new.balance.held, new.balance.spent, new.plan) == (0, 0, "")
    with place.clerk() as clerk:
        clerk.assign("ann", "pro")
    with place.usage() as reader:
        assert reader.standings_of("ann", MONTH)[0].plan == "pro"


async def test_one_users_units_are_all_told_and_nobody_elses(store: LedgerStore, place: Place) -> None:
    await spend(store, "ann", 1, 10)
    await spend(store, "ann", 7, 0, unit="pages")
    await spend(store, "anna", 5, 10)
    await spend(store, "", 5, 0)
    with place.usage() as reader:
        assert {(row.balance.unit, row.balance.spent) for row in reader.standings_of("ann", MONTH)} == {
            ("api_calls", 1),
            ("pages", 7),
        }
        assert [row.balance.spent for row in reader.standings_of("", MONTH)] == [5]


async def test_a_users_use_is_told_by_day_agent_and_unit(store: LedgerStore, place: Place) -> None:
    calls = (
        hold("1", user="ann", units=2, limit=0),
        hold("2", user="ann", units=3, limit=0),
        hold("3", user="ann", units=1, limit=0, at=NOVEMBER + DAY),
        hold("4", user="bob", units=9, limit=0),
        hold("5", user="ann", units=9, limit=0, at=NOVEMBER - 30 * DAY),
    )
    await store.post("node-1", Batch([posting_of(record(each), 0) for each in calls]))
    failed = record(hold("6", user="ann", limit=0), 0, outcome=Outcome.FAILED)
    await store.post("node-1", Batch([posting_of(failed, 0)]))
    with place.usage() as reader:
        assert list(reader.used_by("ann", MONTH)) == [
            Used("2025-11-25", "email", "api_calls", 1, 0, 1),
            Used("2025-11-24", "email", "api_calls", 3, 1, 5),
        ]


async def test_records_are_summed_up_in_steps_and_each_is_in_one_of_them(store: LedgerStore, place: Place) -> None:
    with place.usage() as reader:
        assert reader.used_after(0, 10) == Stretch(0, 0, [])
    for number in range(7):
        await store.post("node-1", batch(posting(f"r{number}", quantity=number, drawn=0)))
    calls = units = end = 0
    with place.usage() as reader:
        while True:
            stretch = reader.used_after(end, 3)
            assert stretch.last == 7
            if stretch.end == end:
                break
            end = stretch.end
            calls += sum(row.calls for row in stretch.used)
            units += sum(row.quantity for row in stretch.used)
    assert (calls, units, end) == (7, 21, 7)


async def test_nothing_can_be_written_through_it(store: LedgerStore, place: Place) -> None:
    await spend(store, "ann", 1, 10)
    with place.usage() as reader, pytest.raises(Exception, match=r"read-?only"):
        reader._connection.cursor().execute("DELETE FROM usage_records")  # type: ignore[attr-defined]
    assert names(place) == ["ann"]
