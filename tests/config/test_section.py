import configparser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.config.document import Place, Source, Text
from gatewayd.config.section import parse_ini
from gatewayd.errors import ConfigError

TEXT = """\
# a comment
[server]
listen = 127.0.0.1:8080,
    [::1]:8080
  ; a comment
tls . certificate = /x
[route:email]
  prefix=/api/email
  roles =
"""


def test_sections_and_dotted_keys_become_tables() -> None:
    assert parse_ini(Source("f.ini", TEXT)).values == {
        "server": {"listen": "127.0.0.1:8080,\n[::1]:8080", "tls": {"certificate": "/x"}},
        "routes": {"email": {"prefix": "/api/email", "roles": ""}},
    }


def test_every_key_remembers_its_place() -> None:
    places = parse_ini(Source("f.ini", TEXT)).places
    assert places[("server",)].key == Place("f.ini", 2, 1)
    assert places[("server", "listen")].value == Place("f.ini", 3, 10)
    assert places[("server", "tls", "certificate")].key == Place("f.ini", 6, 1)
    assert places[("routes", "email", "prefix")].value == Place("f.ini", 8, 10)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[server", "1:1: (syntax): is not a section header"),
        ("[]", "1:1: (syntax): is not a section header"),
        ("[server] x", "1:1: (syntax): is not a section header"),
        ("[rout:email]", "1:1: rout:email: is not a section"),
        ("[route:]", "1:1: route:: is not a section"),
        ("[routes.email]", "1:1: routes.email: is not a section"),
        ("[plan]", "1:1: plan: is not a section"),
        ("[server.tls]", "1:1: server.tls: is not a section"),
        ("[server]\n[server]", "2:1: server: is a section that was there before"),
        ("[server]\nlisten", "2:1: (syntax): is not of the form key = value"),
        ("[server]\n= 5", "2:1: (syntax): is not of the form key = value"),
        ("  a = 1", "1:3: a: stands before any section"),
        ("[server]\na = 1\na = 2", "3:1: server.a: is there twice"),
        ("[server]\na = 1\na.b = 2", "3:1: server.a.b: cannot be a table here"),
        ("[server]\na.b = 1\na = 2", "3:1: server.a: is there twice"),
        ("[server]\na..b = 1", '2:1: server.a."".b: cannot be a table here'),
        ("[server]\n" + "a." * 9 + "b = 1", "2:1: server.a.a.a.a.a.a.a: cannot be a table here"),
        ('[server]\na = "b"', "2:1: server.a: is in quotes"),
    ],
)
def test_a_fault_of_syntax_has_its_place(text: str, told: str) -> None:
    document = parse_ini(Source("f.ini", text))
    assert [f"{each.line}:{each.column}: {each.key}: {each.message}" for each in document.problems] == [told]


def test_every_fault_of_syntax_is_told_at_once() -> None:
    document = parse_ini(Source("f.ini", "[server\n[admin]\nx\ny"))
    assert [problem.line for problem in document.problems] == [1, 3, 4]


def test_a_section_of_a_misspelt_kind_is_suggested() -> None:
    document = parse_ini(Source("f.ini", "[rout:email]\n"))
    assert document.problems[0].hint == 'did you mean "route:NAME"?'


name = st.text("abc_", min_size=1, max_size=6)
value = st.text("abc =:#;[].,0", max_size=12).map(str.strip)


@given(st.dictionaries(name, st.dictionaries(name, value, max_size=4), max_size=3))
def test_plain_ini_is_read_as_configparser_reads_it(sections: dict[str, dict[str, str]]) -> None:
    text = "".join(f"[{one}]\n" + "".join(f"{k} = {v}\n" for k, v in keys.items()) for one, keys in sections.items())
    parser = configparser.RawConfigParser(delimiters="=", default_section="-")
    parser.read_string(text)
    assert parse_ini(Source("f.ini", text.replace("[plan]", "[plan_]"))).values == {
        one.replace("plan", "plan_"): dict(parser[one]) for one in parser.sections()
    }


@given(
    st.lists(st.sampled_from(["[", "]", "=", ".", "a", " ", "\n", "[server]\n", "a.b = 1\n", "\x00", "é", ":"])).map(
        "".join
    )
)
def test_any_text_is_text_or_refused(text: str) -> None:
    try:
        document = parse_ini(Source("f.ini", text))
    except ConfigError:
        return
    assert all(_is_text(each) for each in document.values.values())


def _is_text(value: object) -> bool:
    return all(_is_text(each) for each in value.values()) if isinstance(value, dict) else isinstance(value, Text)
