import pytest

from gatewayd.config.document import Document, Text
from gatewayd.config.interpolation import interpolate
from gatewayd.config.report import Report

ENVIRON = {"HOST": "agent", "EMPTY": "", "NESTED": "${HOST}"}


def _interpolated(value: object) -> tuple[object, Report, Document]:
    document = Document(("f",), {"key": value}, {})
    report = Report(document)
    after = interpolate(document, ENVIRON, report)
    return after.values["key"], report, after


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        pytest.param("http://${HOST}:80", "http://agent:80", id="a variable"),
        pytest.param("${NONE:-x}${EMPTY:-y}${HOST:-z}", "xyagent", id="a default"),
        pytest.param("${NONE:-}", "", id="an empty default"),
        pytest.param("${NONE:-a:-b}", "a:-b", id="a default with the mark in it"),
        pytest.param("${EMPTY}", "", id="an empty variable"),
        pytest.param("$${HOST} $HOST $", "${HOST} $HOST $", id="an escape"),
        pytest.param("${NESTED}", "${HOST}", id="a reference in a variable is text"),
        pytest.param(["${HOST}", 1], ["agent", 1], id="in a list"),
        pytest.param({"${HOST}": "${HOST}"}, {"${HOST}": "agent"}, id="in a table, but not in its keys"),
        pytest.param(5, 5, id="a number"),
    ],
)
def test_references_are_replaced_in_strings_only(value: object, meant: object) -> None:
    after, report, _ = _interpolated(value)
    assert after == meant
    assert not report.problems


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("a ${NONE}", "the variable NONE is not set"),
        ("${}", "has a ${ that begins no variable"),
        ("${HOST", "has a ${ that begins no variable"),
        ("${1A}", "has a ${ that begins no variable"),
        ("${HOST-x}", "has a ${ that begins no variable"),
    ],
)
def test_a_reference_that_cannot_be_replaced_is_a_problem(value: str, message: str) -> None:
    _, report, _ = _interpolated(value)
    assert [problem.message for problem in report.problems] == [message]


def test_every_reference_that_cannot_be_replaced_is_told() -> None:
    _, report, _ = _interpolated(["${A} ${B}", "${C}"])
    assert [(each.key, each.message[13:14]) for each in report.problems] == [
        ("key[0]", "A"),
        ("key[0]", "B"),
        ("key[1]", "C"),
    ]


def test_text_of_ini_stays_text_of_ini() -> None:
    after, _, document = _interpolated(Text("${HOST}"))
    assert isinstance(after, Text)
    assert document.from_environment == {("key",)}


def test_an_escape_alone_does_not_come_from_the_environment() -> None:
    assert not _interpolated("$${HOST}")[2].from_environment
