"""Reading a request's fields: the typed value, or the fault that names the field."""

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.demo.fields import Fault, Fields, finite, parse_object

Read = Callable[[Fields], object]


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{", id="cut off"),
        pytest.param(b"[1]", id="a list"),
        pytest.param(b"null", id="null"),
        pytest.param(b'"text"', id="a text"),
        pytest.param(b'{"a": NaN}', id="NaN"),
        pytest.param(b'{"a": -Infinity}', id="infinity"),
        pytest.param(b'{"a": 1e999}', id="a number past every float"),
        pytest.param(b'{"a": ' + b"9" * 5000 + b"}", id="5000 digits"),
        pytest.param(b'{"a": ' + b"[" * 200_000, id="deep nesting"),
        pytest.param(b'{"a": "\\ud800"}', id="a lone surrogate"),
        pytest.param(b'{"a": "\xff"}', id="not UTF-8"),
    ],
)
def test_what_is_not_a_plain_json_object_is_a_400(raw: bytes) -> None:
    with pytest.raises(Fault) as raised:
        parse_object(raw)
    assert (raised.value.status, raised.value.code) == (400, "invalid_json")


def test_a_fault_of_syntax_names_its_place() -> None:
    with pytest.raises(Fault, match="line 2, column 1"):
        parse_object(b'{"a": 1,\n')


def test_pairs_of_surrogates_are_text() -> None:
    assert parse_object(b'{"a": "\\ud83d\\ude00"}') == {"a": "\N{GRINNING FACE}"}


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_bytes_are_an_object_or_a_fault(raw: bytes) -> None:
    with contextlib.suppress(Fault):
        assert isinstance(parse_object(raw), dict)


@pytest.mark.parametrize(
    ("values", "read"),
    [
        pytest.param({}, lambda f: f.text("a"), id="text absent"),
        pytest.param({"a": None}, lambda f: f.text("a"), id="text null"),
        pytest.param({"a": 1}, lambda f: f.text("a"), id="text a number"),
        pytest.param({"a": "  "}, lambda f: f.text("a"), id="text blank"),
        pytest.param({"a": "xxx"}, lambda f: f.text("a", most=2), id="text too long"),
        pytest.param({"a": "c"}, lambda f: f.choice("a", ("b",), "b"), id="choice unknown"),
        pytest.param({"a": ["b"]}, lambda f: f.choice("a", ("b",), "b"), id="choice a list"),
        pytest.param({"a": True}, lambda f: f.integer("a", default=1, low=0, high=9), id="integer a boolean"),
        pytest.param({"a": 1.0}, lambda f: f.integer("a", default=1, low=0, high=9), id="integer a fraction"),
        pytest.param({"a": 10}, lambda f: f.integer("a", default=1, low=0, high=9), id="integer too large"),
        pytest.param({"a": 10**4000}, lambda f: f.number("a", default=1, low=0, high=9), id="number huge"),
        pytest.param({"a": "1"}, lambda f: f.number("a", default=1, low=0, high=9), id="number a text"),
        pytest.param({"a": float("nan")}, lambda f: f.number("a", default=1, low=0, high=9), id="number NaN"),
        pytest.param({"a": False}, lambda f: f.number("a", default=1, low=0, high=9), id="number a boolean"),
        pytest.param({"a": 1}, lambda f: f.flag("a"), id="flag a number"),
    ],
)
def test_a_field_of_another_kind_is_refused_by_name(values: dict[str, object], read: Read) -> None:
    with pytest.raises(Fault, match=r"^a ") as raised:
        read(Fields(values))
    assert (raised.value.status, raised.value.code) == (400, "invalid_field")


def test_fields_that_are_right_are_read() -> None:
    fields = Fields({"text": "t", "choice": "b", "integer": 3, "number": 2, "flag": True, "null": None})
    assert fields.text("text") == "t"
    assert fields.choice("choice", ("a", "b"), "a") == "b"
    assert fields.integer("integer", default=1, low=0, high=9) == 3
    assert fields.number("number", default=1, low=0, high=9) == 2.0
    assert fields.flag("flag") is True
    assert ("text" in fields, "null" in fields, "other" in fields) == (True, False, False)


def test_absent_fields_have_their_defaults() -> None:
    fields = Fields({})
    assert fields.optional_text("a") is None
    assert fields.choice("a", ("x", "y"), "y") == "y"
    assert fields.integer("a", default=4, low=0, high=9) == 4
    assert fields.number("a", default=1.5, low=0, high=9) == 1.5
    assert fields.flag("a") is False


def test_bounds_belong_to_the_range() -> None:
    assert (finite(0, "a", low=0, high=1), finite(1, "a", low=0, high=1)) == (0.0, 1.0)


def test_a_fault_never_quotes_what_was_sent() -> None:
    with pytest.raises(Fault) as raised:
        Fields({"tone": "s3cret"}).choice("tone", ("", "a"), "a")
    assert raised.value.document == {"code": "invalid_field", "message": "tone must be one of a"}
