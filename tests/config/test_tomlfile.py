import runpy
import sys
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.config import tomlfile
from gatewayd.config.document import KeyPath, Place, Source
from gatewayd.config.tomlfile import parse_toml
from gatewayd.errors import ConfigError, Problem

TEXT = '''\
top = 1

[server]
listen = ["a",
   "b"]
tls = { certificate = "ö", key = "x" }
  [routes."x.y"]  # indented
timeouts.connect = "2s"
"prefix" = """
[admin]
"""
[[array]]
key = 1
'''

fragments = st.lists(
    st.sampled_from(
        [*"ab=[]{}\".'\n\r\t #1e-_:ué\x00,", "a = ", '"""', "'''", "[a]\n", "[[a]]\n", "{a=1}", "1979-05-27"]
    ),
    max_size=15,
).map("".join)


@pytest.fixture
def without_toml_rs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tomlfile, "toml_rs", None)


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        pytest.param(("top",), (1, 1), (1, 7), id="a key"),
        pytest.param(("server",), (3, 2), (3, 2), id="a header"),
        pytest.param(("server", "listen", 1), (5, 4), (5, 4), id="an item of a list over two lines"),
        pytest.param(("server", "tls", "certificate"), (6, 9), (6, 23), id="a key in an inline table"),
        pytest.param(("server", "tls", "key"), (6, 28), (6, 34), id="a key after a character of two bytes"),
        pytest.param(("routes",), (8, 10), (8, 10), id="a table that only its children name"),
        pytest.param(("routes", "x.y"), (7, 4), (7, 4), id="an indented header with a quoted part"),
        pytest.param(("routes", "x.y", "timeouts"), (8, 10), (8, 10), id="a table made by a dotted key"),
        pytest.param(("routes", "x.y", "prefix"), (9, 1), (9, 12), id="a quoted key"),
        pytest.param(("array",), (12, 3), (12, 3), id="an array of tables"),
        pytest.param(("array", 0, "key"), (13, 1), (13, 7), id="a key named key"),
    ],
)
def test_every_key_remembers_its_place(path: KeyPath, key: tuple[int, int], value: tuple[int, int]) -> None:
    span = parse_toml(Source("f", TEXT)).places[path]
    assert (span.key, span.value) == (Place("f", *key), Place("f", *value))


def test_a_line_inside_a_string_is_no_header() -> None:
    assert ("admin",) not in parse_toml(Source("f", TEXT)).places


@pytest.mark.usefixtures("without_toml_rs")
def test_without_toml_rs_the_values_are_the_same_and_tables_have_their_places() -> None:
    document = parse_toml(Source("f", TEXT))
    assert document.values == tomllib.loads(TEXT)
    assert document.span(("server", "tls", "key")).value == Place("f", 3, 2)


FAULTS = [
    pytest.param("a = \n", (1, 5), id="no value"),
    pytest.param("a = 1\nb = é\n", (2, 5), id="no quotes"),
    pytest.param('é = "x', (1, 1), id="a key that needs quotes"),
    pytest.param("[a]\nb = 1_\n", (2, 6), id="a bad number"),
]


@pytest.mark.parametrize(("text", "place"), FAULTS)
def test_a_fault_of_syntax_has_its_place(text: str, place: tuple[int, int]) -> None:
    (problem,) = _problems(text)
    assert (problem.line, problem.column, problem.key) == (*place, tomlfile.SYNTAX)
    assert "\n" not in str(problem)


@pytest.mark.usefixtures("without_toml_rs")
def test_without_toml_rs_an_item_on_its_own_line_is_no_header() -> None:
    assert parse_toml(Source("f", "a = [\n[1],\n['b'],\n]\n")).span(("a",)).key == Place("f")


def test_a_platform_without_toml_rs_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "toml_rs", None)
    assert runpy.run_path(tomlfile.__file__)["toml_rs"] is None


@pytest.mark.usefixtures("without_toml_rs")
def test_a_fault_of_syntax_has_its_place_without_toml_rs() -> None:
    (problem,) = _problems("a = 1\nb = \n")
    assert (problem.line, problem.column, problem.message) == (2, 5, "Invalid value")
    (problem,) = _problems("a = 1\nb = [1,\n")
    assert problem.line == 3


def test_a_fault_of_syntax_does_not_quote_the_line() -> None:
    (problem,) = _problems('secret = "hunter2" "\n')
    assert "hunter2" not in str(problem)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a = " + "[" * 100_000, id="open lists"),
        pytest.param("a = " + "{a=" * 5000 + "1" + "}" * 5000, id="inline tables"),
        pytest.param("\n[" + ".".join("a" * 100_000) + "]", id="a dotted header"),
    ],
)
def test_depth_that_would_end_the_process_is_refused(text: str) -> None:
    (problem,) = _problems(text)
    assert problem.message == "is nested too deeply"


def test_text_that_is_not_unicode_is_refused() -> None:
    (problem,) = _problems("a = '\udc80'")
    assert "Unicode" in problem.message


@given(fragments | st.text())
def test_any_text_is_read_as_tomllib_reads_it_or_refused(text: str) -> None:
    try:
        document = parse_toml(Source("f", text))
    except ConfigError:
        return
    assert repr(document.values) == repr(tomllib.loads(text))


def _problems(text: str) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as refused:
        parse_toml(Source("f", text))
    return refused.value.problems
