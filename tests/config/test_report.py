import json

import pytest

from gatewayd.config.document import Document, KeyPath, Place, Span
from gatewayd.config.report import Report, key_name, problems_as_json, suggestion
from gatewayd.errors import ConfigError


def _report() -> Report:
    places: dict[KeyPath, Span] = {
        ("a",): Span(Place("main", 9, 1), Place("main", 9, 5)),
        ("b",): Span(Place("over", 1, 1), Place("over", 1, 5)),
    }
    return Report(Document(("main", "over"), {}, places))


def test_problems_are_told_in_the_order_of_the_files() -> None:
    report = _report()
    report.problem(("b",), "second")
    report.problem(("a",), "first")
    with pytest.raises(ConfigError) as refused:
        report.raise_problems()
    assert [str(problem) for problem in refused.value.problems] == [
        "main:9:5: a: first",
        "over:1:5: b: second",
    ]


def test_the_place_is_the_keys_where_the_key_is_the_fault() -> None:
    report = _report()
    report.problem(("a",), "is not known", at_key=True)
    assert (report.problems[0].line, report.problems[0].column) == (9, 1)


def test_a_warning_refuses_nothing() -> None:
    report = _report()
    report.warning(("a",), "odd")
    report.raise_problems()
    assert report.sound(("a",))
    assert [problem.message for problem in report.warnings] == ["odd"]


@pytest.mark.parametrize(
    ("path", "sound"),
    [
        pytest.param(("server",), False, id="around"),
        pytest.param(("server", "tls"), False, id="itself"),
        pytest.param(("server", "tls", "key"), False, id="inside"),
        pytest.param(("server", "listen"), True, id="beside"),
    ],
)
def test_a_key_is_sound_when_no_problem_is_in_or_around_it(path: tuple[str, ...], sound: bool) -> None:
    report = _report()
    report.problem(("server", "tls"), "bad")
    assert report.sound(path) is sound


def test_a_key_is_named_as_toml_names_it() -> None:
    assert key_name(("routes", "a.b", "upstream", 1)) == 'routes."a.b".upstream[1]'


def test_a_suggestion_is_the_closest_name_else_all_of_them() -> None:
    assert suggestion("lisen", ["workers", "listen"]) == 'did you mean "listen"?'
    assert suggestion("zzz", ["workers", "listen"]) == "known here: listen, workers"
    assert suggestion("zzz", []) == ""


def test_problems_can_be_sent_as_json() -> None:
    report = _report()
    report.problem(("a",), "bad", "mend it")
    assert json.loads(json.dumps(problems_as_json(report.problems))) == [
        {"file": "main", "line": 9, "column": 5, "key": "a", "message": "bad", "hint": "mend it"}
    ]
