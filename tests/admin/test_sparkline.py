"""Numbers as points of a drawing."""

from gatewayd.admin.sparkline import HEIGHT, WIDTH, area, line


def points(text: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (each.split(",") for each in text.split())]


def test_the_newest_is_at_the_right_and_the_highest_at_the_top() -> None:
    drawn = points(line([0, 5, 10], 3, 10))
    assert [x for x, _ in drawn] == [0, WIDTH / 2, WIDTH]
    assert drawn[2][1] < drawn[1][1] < drawn[0][1] < HEIGHT
    assert drawn[2][1] > 0


def test_a_short_row_stands_at_the_right_and_a_long_one_is_cut_at_the_left() -> None:
    assert points(line([1, 1], 5, 1))[0][0] == WIDTH * 3 / 4
    assert points(line([9, 0, 0], 2, 9)) == [(0, HEIGHT - 2), (WIDTH, HEIGHT - 2)]


def test_nothing_at_all_is_the_ground_and_what_is_too_high_stays_inside() -> None:
    assert {y for _, y in points(line([0, 0], 2, 0))} == {HEIGHT - 2}
    assert points(line([50], 1, 5))[0][1] == 2


def test_an_area_is_closed_along_the_ground() -> None:
    drawn = points(area([1, 2], 2, 2))
    assert [drawn[0], drawn[-1]] == [(0, HEIGHT), (WIDTH, HEIGHT)]


def test_of_nothing_nothing_is_drawn() -> None:
    assert (line([], 5, 1), area([], 5, 1)) == ("", "")
