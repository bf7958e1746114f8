from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.config.document import Text
from gatewayd.config.shape import Invalid
from gatewayd.config.values import (
    boolean,
    choice,
    duration,
    identifier,
    method,
    positive_duration,
    rate,
    size,
    string,
    text_or_empty,
    whole,
    whole_or,
)
from gatewayd.model import PERIOD_SECONDS, Rate

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
BYTES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
number = whole(1, 100)


@given(st.integers(0, 366), st.sampled_from(sorted(UNITS)))
def test_a_duration_is_its_number_times_its_unit(count: int, unit: str) -> None:
    assert duration(f"{count}{unit}") == count * UNITS[unit]


@given(st.integers(0, 86_400_000))
def test_milliseconds_come_back_as_they_went_in(milliseconds: int) -> None:
    assert round(duration(f"{milliseconds}ms") * 1000) == milliseconds


@given(st.integers(1, 1024), st.sampled_from(sorted(BYTES)))
def test_a_size_is_its_number_times_its_unit(count: int, unit: str) -> None:
    assert size(1)(f"{count}{unit}") == count * BYTES[unit] == size(1)(count * BYTES[unit])


@given(st.integers(1, 10**9), st.sampled_from(sorted(PERIOD_SECONDS)), st.none() | st.integers(1, 10**9))
def test_a_rate_comes_back_as_it_went_in(limit: int, period: str, burst: int | None) -> None:
    text = f"{limit}/{period}" + (f" burst {burst}" if burst else "")
    assert rate(text) == rate(Text(text)) == Rate(limit, period, burst or limit)


@given(st.integers(1, 100))
def test_ini_text_of_a_number_is_the_number(value: int) -> None:
    assert number(Text(value)) == number(value) == value


REFUSED = [
    (duration, 30, "is a duration without a unit"),
    (duration, 1.5, "is a duration without a unit"),
    (duration, True, "is not a duration"),
    (duration, "", "is not a duration"),
    (duration, "1", "is not a duration"),
    (duration, "-1s", "is not a duration"),
    (duration, "1.5s", "is not a duration"),
    (duration, "1s ", "is not a duration"),
    (duration, "١s", "is not a duration"),
    (duration, "367d", "is longer than a year"),
    (positive_duration, "0s", "must be longer than 0s"),
    (positive_duration, "0ms", "must be longer than 0s"),
    (size(1), "25MB", "is not a size"),
    (size(1), "25", "is not a size"),
    (size(1), "0KiB", "must be at least 1"),
    (size(1), True, "must be a whole number"),
    (size(1, 10), "1KiB", "must be at most 10"),
    (rate, 60, "is not a rate"),
    (rate, "60/min", "is not a rate"),
    (rate, "60/minute burst", "is not a rate"),
    (rate, "60/minuteburst 5", "is not a rate"),
    (rate, "0/minute", "must let at least 1 request through"),
    (rate, "60/minute burst 0", "must let at least 1 request through"),
    (number, "5", "must be a whole number"),
    (number, 5.0, "must be a whole number"),
    (number, True, "must be a whole number"),
    (number, Text("5.0"), "must be a whole number"),
    (number, Text("9" * 5000), "must be a whole number"),
    (number, Text("٣"), "must be a whole number"),
    (number, 0, "must be at least 1"),
    (number, Text("101"), "must be at most 100"),
    (whole_or("auto", 0, number), "Auto", 'must be a whole number or "auto"'),
    (whole_or("auto", 0, number), 0, "must be at least 1"),
    (choice("a", "b"), "c", "must be a or b"),
    (choice("a", "b"), 1, "must be a or b"),
    (choice(*"abcde"), "f", "must be one of a, b, c, d, e"),
    (boolean, "true", "must be true or false"),
    (boolean, 1, "must be true or false"),
    (boolean, Text("maybe"), "must be true or false"),
    (string, 5, "must be a string"),
    (string, " ", "is empty"),
    (string, "a\nb", "has characters that cannot be printed"),
    (text_or_empty, 5, "must be a string"),
    (identifier, "a b", "is not a name"),
    (identifier, "-a", "is not a name"),
    (identifier, "a" * 65, "is not a name"),
    (method, "get", "must be in upper case"),
    (method, "GE T", "is not a method"),
    (method, "CONNECT", "CONNECT has no path to route by"),
]


@pytest.mark.parametrize(
    ("read", "value", "message"),
    REFUSED,
    ids=[f"{message}: {str(value)[:20]!r}" for _, value, message in REFUSED],
)
def test_a_value_of_another_kind_is_refused(read: Callable[[object], object], value: object, message: str) -> None:
    with pytest.raises(Invalid) as refused:
        read(value)
    assert refused.value.message == message


@pytest.mark.parametrize(
    ("read", "value", "meant"),
    [
        pytest.param(duration, "250ms", 0.25, id="milliseconds"),
        pytest.param(duration, "0s", 0.0, id="none"),
        pytest.param(size(1), Text("2048"), 2048, id="bytes in INI"),
        pytest.param(number, Text("1_0"), 10, id="underscore in INI"),
        pytest.param(whole_or("auto", 0, number), Text("auto"), 0, id="the word"),
        pytest.param(whole_or("auto", 0, number), Text("3"), 3, id="the number in INI"),
        pytest.param(boolean, Text("Yes"), True, id="yes in INI"),
        pytest.param(boolean, Text("off"), False, id="off in INI"),
        pytest.param(boolean, True, True, id="true"),
        pytest.param(text_or_empty, "", "", id="empty"),
        pytest.param(text_or_empty, "-", "-", id="not empty"),
        pytest.param(method, "PROPFIND", "PROPFIND", id="a method of WebDAV"),
    ],
)
def test_a_value_of_its_kind_is_read(read: Callable[[object], object], value: object, meant: object) -> None:
    assert read(value) == meant


@given(st.text() | st.integers() | st.floats() | st.booleans() | st.none() | st.text().map(Text))
def test_no_value_meets_anything_but_a_refusal(value: object) -> None:
    casts = (
        duration,
        size(1),
        rate,
        number,
        whole_or("auto", 0, number),
        boolean,
        string,
        identifier,
        method,
    )
    for read in casts:
        with suppress(Invalid):
            read(value)
