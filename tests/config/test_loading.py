from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.config.loading import load, parse, parse_all
from gatewayd.config.schema import keys
from gatewayd.errors import ConfigError
from tests.config.shared import AUTH, ENVIRON, MINIMAL, SECRET, problems

WORDS = sorted({name for path, _ in keys() for name in path})
CONF = (Path(__file__).parents[2] / "conf" / "gatewayd.toml").read_text("utf-8")

values = st.sampled_from(
    [
        *("5", "-1", "1.5", "true", '"x"', '""', "[]", "{}", '["a", 1]', "{ env = 'X' }", "{ a = 1 }"),
        *('"1s"', '"1/minute"', '"/a"', '"http://h"', '"127.0.0.1:1"', '"${X}"', '"${"', "nan", "'\\u0000'"),
        *("1979-05-27", "${X}"),
    ]
)
pairs = st.tuples(st.sampled_from(WORDS), values).map(" = ".join)
headers = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(lambda parts: f"[{'.'.join(parts)}]")
named = st.tuples(st.sampled_from(["route", "plan", "x"]), st.sampled_from(WORDS)).map(lambda two: f"[{':'.join(two)}]")
lines = st.lists(pairs | headers | named | st.text(max_size=8), max_size=12).map("\n".join)


@given(lines, st.sampled_from(["g.toml", "g.ini"]))
def test_any_text_loads_or_is_refused_with_problems(text: str, file: str) -> None:
    assert all(problem.file == file and problem.message for problem in problems(text, {"X": "x"}, file))


@given(st.sampled_from(WORDS), values)
def test_the_reference_with_one_value_changed_loads_or_is_refused(word: str, value: str) -> None:
    text = "\n".join(f"{word} = {value}" if line.startswith(f"{word} =") else line for line in CONF.splitlines())
    assert SECRET not in str(problems(text))


def test_a_load_tells_its_settings_warnings_and_texts(tmp_path: Path) -> None:
    file = tmp_path / "gatewayd.toml"
    file.write_text(AUTH)
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "a.toml").write_text(MINIMAL.removeprefix(AUTH))
    loaded = load(file, ENVIRON)
    assert list(loaded.settings.routes) == ["email"]
    assert [source.file for source in loaded.sources] == [str(file), str(tmp_path / "conf.d" / "a.toml")]
    assert parse_all(loaded.sources, ENVIRON) == loaded


def test_a_load_does_not_depend_on_the_file_after_it_was_read(tmp_path: Path) -> None:
    file = tmp_path / "gatewayd.toml"
    file.write_text(MINIMAL)
    loaded = load(file, ENVIRON)
    file.unlink()
    assert parse_all(loaded.sources, ENVIRON).settings == loaded.settings


def test_problems_of_several_files_are_told_together_in_the_order_of_the_files(tmp_path: Path) -> None:
    file = tmp_path / "gatewayd.toml"
    file.write_text("[server]\nworkers = 0\n" + MINIMAL)
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "a.toml").write_text("[server]\nmax_body = 0\n")
    with pytest.raises(ConfigError) as refused:
        load(file, ENVIRON)
    assert [(Path(each.file).name, each.line, each.column) for each in refused.value.problems] == [
        ("gatewayd.toml", 2, 11),
        ("a.toml", 2, 12),
    ]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('[auth]\nsecret = "hunter2"', id="a short literal"),
        pytest.param('[auth]\nsecret = "hunter2', id="a literal without its end"),
        pytest.param('[auth]\nsecret = ["hunter2"]', id="a literal in a list"),
        pytest.param('[auth]\nsecret = { value = "hunter2" }', id="an unknown source"),
        pytest.param('[ledger]\nurl = "mysql://u:hunter2@h/db"', id="a password in a URL of a store"),
        pytest.param('[counters]\nurl = "redis:hunter2"', id="a password in a malformed URL"),
        pytest.param('[auth]\npublic_key = "hunter2"\nalgorithms = ["RS256"]', id="a key that is none"),
    ],
)
def test_no_problem_quotes_a_secret(text: str) -> None:
    told = problems(text, {})
    assert told
    assert "hunter2" not in "".join(f"{problem} {problem!r}" for problem in told)


def test_settings_and_their_sources_do_not_show_secrets() -> None:
    text = MINIMAL + '[ledger]\nurl = "postgresql://u:hunter2@h/db"\n'
    assert "hunter2" not in (shown := repr(parse(text, "g.toml", ENVIRON)))
    assert SECRET not in shown
