"""A ledger that was touched shows it, on one line a fault."""

import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from gatewayd.model import Account, Balance, Directory
from gatewayd.stores import chain
from gatewayd.stores.chain import RecordRow
from gatewayd.stores.reading import NodeLeases
from gatewayd.stores.verifying import Audit, shown
from tests.stores.ledgers import hold, record

ANN = Account("ann", "api_calls", "2025-11")
BOB = Account("bob", "api_calls", "2025-11")
CUT = "is not where the ledger ends: the end was cut off or changed"


@dataclass
class Book:
    """A ledger in memory, for a test to tamper with."""

    rows: list[RecordRow] = field(default_factory=list)
    spent: dict[Account, int] = field(default_factory=dict)
    leases: dict[Account, tuple[int, int]] = field(default_factory=dict)
    written: tuple[int, str] = (0, chain.GENESIS)
    numbers: list[str] = field(default_factory=list)
    limit: int = 100

    def write(self, name: str, user: str = "ann", quantity: int = 1) -> None:
        head = self.rows[-1].chain if self.rows else chain.GENESIS
        row = chain.sealed(head, record(hold(name, user=user), quantity))
        self.rows.append(row)
        account = Account(user, "api_calls", row.period)
        self.spent[account] = self.spent.get(account, 0) + quantity
        self.leases.setdefault(account, (0, 0))
        self.written = len(self.rows), row.chain

    def balances(self, *, user_id: str | None = None, period: str | None = None) -> Sequence[Balance]:
        assert (user_id, period) == (None, None)
        return [Balance(*account, self.limit, 0, spent) for account, spent in self.spent.items()]

    def records(self) -> Iterator[RecordRow]:
        return iter(self.rows)

    def end(self) -> tuple[int, str]:
        return self.written

    def directory(self) -> Directory:
        return Directory(0, {})

    def last_plans(self) -> Mapping[str, str]:
        return {}

    def leased(self) -> Mapping[Account, tuple[int, int]]:
        return self.leases

    def misnumbered(self) -> Sequence[str]:
        return self.numbers

    def nodes(self) -> Sequence[NodeLeases]:
        return []

    def change(self, number: int, **columns: object) -> None:
        self.rows[number] = self.rows[number]._replace(**columns)  # type: ignore[arg-type]


@pytest.fixture
def book() -> Book:
    """Five records, r0 to r4: ann's but for r2, which is bob's; each of one unit but for r3, of ten."""
    book = Book()
    for number in range(5):
        book.write(f"r{number}", "bob" if number == 2 else "ann", 10 if number == 3 else 1)
    return book


def faults(book: Book) -> list[str]:
    return list(Audit(book).faults())


def test_a_whole_ledger_has_no_faults_and_figures(book: Book) -> None:
    audit = Audit(book)
    assert list(audit.faults()) == []
    assert (audit.records, audit.balances, audit.units, audit.head) == (5, 2, 14, book.rows[-1].chain)


def test_an_empty_ledger_is_whole() -> None:
    assert faults(Book()) == []


@pytest.mark.parametrize("column", [name for name in RecordRow._fields if name not in ("chain", "id")])
def test_any_column_changed_names_its_record(book: Book, column: str) -> None:
    before = getattr(book.rows[1], column)
    book.change(1, **{column: before + 1 if isinstance(before, int) else before.replace("2", "3") + "0"})
    assert any(line.startswith("record r1: does not follow record r0: ") for line in faults(book))


def test_a_changed_quantity_shows_in_the_chain_and_in_the_sum(book: Book) -> None:
    book.change(3, quantity=9)
    assert faults(book) == [
        "record r3: does not follow record r2: one of the two was changed, or records between them are missing",
        "balance ann api_calls 2025-11: spent is 13, its records add up to 12",
    ]


def test_a_gap_names_its_neighbours(book: Book) -> None:
    del book.rows[1:3]
    assert faults(book) == [
        "record r3: does not follow record r0: one of the two was changed, or records between them are missing",
        "balance ann api_calls 2025-11: spent is 13, its records add up to 12",
        "balance bob api_calls 2025-11: spent is 1, its records add up to 0",
    ]


def test_one_gap_is_one_fault_of_the_chain_and_names_no_record_but_its_neighbours(book: Book) -> None:
    del book.rows[1]
    book.spent[ANN] -= 1
    assert [line.split(":")[0] for line in faults(book)] == ["record r2"]


def test_a_count_that_no_break_explains_is_a_fault(book: Book) -> None:
    book.written = 6, book.written[1]
    assert faults(book) == ["record r4: is the last one, but 6 records were written, 5 are here"]


def test_a_cut_off_beginning_names_the_first_that_is_left(book: Book) -> None:
    del book.rows[0]
    assert faults(book)[0] == (
        "record r1: does not follow the ledger's beginning: it was changed, or records before it are missing"
    )


def test_a_cut_off_end_is_found_though_it_breaks_no_link(book: Book) -> None:
    del book.rows[3:]
    book.spent[ANN] = 2
    assert faults(book) == [f"record r2: {CUT}; 5 records were written, 3 are here"]


def test_a_ledger_emptied_of_its_records_is_not_whole(book: Book) -> None:
    book.rows.clear()
    book.spent.clear()
    assert faults(book) == [f"the ledger's beginning: {CUT}; 5 records were written, 0 are here"]


def test_two_records_in_each_others_place_are_named(book: Book) -> None:
    book.rows[1], book.rows[2] = book.rows[2], book.rows[1]
    assert [line.split(":")[0] for line in faults(book)] == ["record r2", "record r1", "record r3"]


def test_a_record_put_in_without_its_link_is_named(book: Book) -> None:
    book.rows.insert(2, book.rows[2]._replace(id="forged"))
    named = ["record forged", "record r2", "balance bob api_calls 2025-11"]
    assert [line.split(":")[0] for line in faults(book)] == named


def test_a_forged_end_is_told_from_the_one_that_was_written(book: Book) -> None:
    row = chain.sealed(book.rows[-1].chain, record(hold("forged", user="ann"), 0))
    book.rows.append(row)
    assert faults(book) == [f"record forged: {CUT}; 5 records were written, 6 are here"]


@pytest.mark.parametrize(
    ("account", "spent", "line"),
    [
        pytest.param(ANN, 12, "balance ann api_calls 2025-11: spent is 12, its records add up to 13", id="less"),
        pytest.param(BOB, 0, "balance bob api_calls 2025-11: spent is 0, its records add up to 1", id="nothing"),
        pytest.param(
            Account("eve", "api_calls", "2025-11"),
            3,
            "balance eve api_calls 2025-11: spent is 3, its records add up to 0",
            id="without records",
        ),
    ],
)
def test_a_balance_that_differs_from_its_records_is_named(book: Book, account: Account, spent: int, line: str) -> None:
    book.spent[account] = spent
    assert faults(book) == [line]


def test_a_balance_that_is_gone_is_named(book: Book) -> None:
    del book.spent[BOB]
    assert faults(book) == ["balance bob api_calls 2025-11: is missing, its records add up to 1"]


@pytest.mark.parametrize(
    ("held", "leased", "lines"),
    [
        (5, 5, []),
        (5, 4, ["balance ann api_calls 2025-11: held is 5, its leases add up to 4"]),
        (-1, -1, ["balance ann api_calls 2025-11: held or a lease is below 0"]),
    ],
)
def test_what_is_held_must_be_what_is_leased(book: Book, held: int, leased: int, lines: list[str]) -> None:
    book.leases[ANN] = held, leased
    assert faults(book) == lines


@pytest.mark.parametrize(
    ("limit", "period", "odd"),
    [
        pytest.param(100, "2025-11", [], id="a plan's"),
        pytest.param(0, "2025-11", [], id="none"),
        pytest.param(777, "2025-12", [], id="of another month"),
        pytest.param(777, "2025-11", ["ann", "bob"], id="nobody's"),
    ],
)
def test_a_limit_that_no_plan_has_is_odd_and_no_fault(book: Book, limit: int, period: str, odd: list[str]) -> None:
    book.limit = limit
    audit = Audit(book)
    assert list(audit.faults()) == []
    said = "limit_units is 777, which is no plan's quota of api_calls"
    lines = [f"balance {user} api_calls 2025-11: {said}" for user in odd]
    assert list(audit.oddities(period, {"api_calls": {100, 1_000}, "tokens": {777}})) == lines


def test_wrong_numbers_are_told_unless_a_missing_record_explains_them(book: Book) -> None:
    book.numbers = ["record r3: seq is 9"]
    assert faults(book) == ["record r3: seq is 9"]
    del book.rows[1]
    assert "record r3: seq is 9" not in faults(book)


@pytest.mark.parametrize("value", ["ten", None, b"10", 1.5, True])
def test_what_a_database_lets_in_beside_our_types_is_a_fault_and_no_traceback(book: Book, value: object) -> None:
    book.change(1, quantity=value, started_at=7, chain=value)
    found = faults(book)
    assert found[0] == "record r1: a column holds what gatewayd never writes"
    assert any(line.startswith("record r2: does not follow record r1") for line in found)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("r-1", "r-1"),
        ("", '""'),
        ("a b", '"a b"'),
        ("a\nb", '"a\\nb"'),
        ('"', '"\\""'),
        (None, "null"),
        (b"x", "\"b'x'\""),
    ],
)
def test_a_name_is_one_word_on_one_line(name: object, written: str) -> None:
    assert shown(name) == written


def test_records_are_let_go_as_they_come() -> None:
    """At most two are in memory at a time, however many there are."""
    alive: list[weakref.ref[str]] = []

    class Weighed(str):
        """A name that can be watched."""

        __slots__ = ("__weakref__",)

    class Long(Book):
        def records(self) -> Iterator[RecordRow]:
            head = chain.GENESIS
            for number in range(100):
                assert sum(each() is not None for each in alive) <= 2
                row = chain.sealed(head, record(hold(f"r{number}", user="ann"), 1))
                name = Weighed(row.id)
                alive.append(weakref.ref(name))
                head = row.chain
                row = row._replace(id=name)
                del name
                yield row
            self.written, self.spent = (100, head), {ANN: 100}

    list(Audit(Long()).faults())
    assert len(alive) == 100
