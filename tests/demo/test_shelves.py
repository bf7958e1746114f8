"""Bounded stores keep the newest, and pages do not shift."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.demo.shelves import Recent, Shelf


def filled(count: int, most: int = 100) -> Shelf[int]:
    shelf: Shelf[int] = Shelf(most)
    for number in range(count):
        shelf.put(f"k{number}", number)
    return shelf


def test_only_the_newest_items_are_kept() -> None:
    shelf = filled(5, most=3)
    assert shelf.page(10).items == (4, 3, 2)
    assert shelf.get("k1") is None


def test_a_replaced_item_stays_where_it_stands() -> None:
    shelf = filled(3)
    shelf.put("k1", 10)
    assert shelf.page(10).items == (2, 10, 0)


def test_an_item_that_arrives_between_two_pages_shifts_nothing() -> None:
    shelf = filled(4)
    first = shelf.page(2)
    shelf.put("late", 99)
    assert first.next_cursor is not None
    assert shelf.page(2, int(first.next_cursor)).items == (1, 0)


def test_the_last_page_has_no_cursor() -> None:
    assert filled(2).page(2).next_cursor is None


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(1, 15))
def test_pages_together_are_all_that_is_asked_for(count: int, limit: int) -> None:
    shelf, seen, cursor = filled(count), list[int](), 10**9
    while True:
        page = shelf.page(limit, cursor, lambda number: number % 2 == 0)
        seen += page.items
        if page.next_cursor is None:
            break
        cursor = int(page.next_cursor)
    assert seen == [number for number in reversed(range(count)) if number % 2 == 0]


def test_the_key_unused_for_longest_is_forgotten() -> None:
    made: list[str] = []
    recent: Recent[list[int]] = Recent(lambda key: made.append(key) or [], 2)  # type: ignore[func-returns-value]
    recent.of("a").append(1)
    recent.of("b").append(2)
    recent.of("a")
    recent.of("c")
    assert recent.of("a") == [1]
    assert recent.of("b") == []
    assert made == ["a", "b", "c", "b"]
