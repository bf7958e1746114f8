"""CSV that a spreadsheet reads and does not run."""

import csv
import io

import pytest

from gatewayd.admin.csvfile import attachment, csv_text


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def test_rows_come_back_as_they_were() -> None:
    rows = [{"user": 'a,"b"\nc', "spent": 5, "limit": None}]
    text = csv_text(("user", "spent", "limit"), rows)
    assert read(text) == [["user", "spent", "limit"], ['a,"b"\nc', "5", ""]]
    assert text.endswith("\r\n")


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_user_is_never_a_formula(name: str) -> None:
    assert read(csv_text(("user",), [{"user": name}]))[1] == ["'" + name]


def test_numbers_below_nothing_stay_numbers_and_half_a_surrogate_pair_is_sent() -> None:
    text = csv_text(("a", "b"), [{"a": -5, "b": "x\ud800"}])
    assert read(text)[1] == ["-5", "x?"]
    text.encode()


def test_it_is_saved_under_a_name() -> None:
    response = attachment("usage.csv", "a\r\n")
    assert response.headers["Content-Disposition"] == 'attachment; filename="usage.csv"'
    assert response.content_type == "text/csv"
