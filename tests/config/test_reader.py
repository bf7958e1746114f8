from pathlib import Path

import pytest

from gatewayd.config.document import Source
from gatewayd.config.reader import parse_sources, read_sources
from gatewayd.errors import ConfigError, Problem


def _problems(path: Path) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as refused:
        read_sources(path)
    return refused.value.problems


def test_a_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    (problem,) = _problems(tmp_path / "none.toml")
    assert problem.message == "no such file or directory"
    assert problem.hint == "gatewayd init writes a starter configuration"


def test_a_directory_is_a_problem(tmp_path: Path) -> None:
    (problem,) = _problems(tmp_path)
    assert (problem.file, problem.message) == (str(tmp_path), "is a directory")


def test_a_path_that_is_no_file_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (problem,) = _problems(tmp_path / "file" / "gatewayd.toml")
    assert problem.message == "not a directory"
    assert "must be able to read it" in problem.hint


def test_a_file_that_is_not_utf8_is_a_problem_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "g.toml").write_bytes(b"a = 1\nb = '\xff'\n")
    (problem,) = _problems(tmp_path / "g.toml")
    assert (problem.message, problem.hint) == ("is not UTF-8, first in line 2", "save it as UTF-8 text")


def test_a_file_without_an_end_is_a_problem() -> None:
    (problem,) = _problems(Path("/dev/zero"))
    assert problem.message == "is larger than 16 MiB"


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "g.toml").write_bytes(b"\xef\xbb\xbfa = 1")
    assert read_sources(tmp_path / "g.toml")[0].text == "a = 1"


def test_files_beside_it_are_read_in_byte_order_and_hidden_ones_are_not(tmp_path: Path) -> None:
    (tmp_path / "g.toml").touch()
    (tmp_path / "conf.d").mkdir()
    for name in ("b.toml", "a.toml", "B.toml", "ä.toml", ".a.toml", "a.ini"):
        (tmp_path / "conf.d" / name).touch()
    names = [Path(source.file).name for source in read_sources(tmp_path / "g.toml")]
    assert names == ["g.toml", "B.toml", "a.toml", "b.toml", "ä.toml"]


def test_tables_are_merged_and_other_values_replaced() -> None:
    document = parse_sources(
        [
            Source("a.toml", "[server]\nlisten = ['a', 'b']\nworkers = 1\n[routes.email]\nprefix = '/e'"),
            Source("b.toml", "[server]\nlisten = ['c']\n[routes.rag]\nprefix = '/r'"),
        ]
    )
    assert document.values == {
        "server": {"listen": ["c"], "workers": 1},
        "routes": {"email": {"prefix": "/e"}, "rag": {"prefix": "/r"}},
    }
    assert document.span(("server", "listen")).key.file == "b.toml"
    assert document.span(("server", "workers")).key.file == "a.toml"


def test_the_source_of_a_secret_is_replaced_as_a_whole_but_a_quota_is_not() -> None:
    document = parse_sources(
        [
            Source("a.toml", "[auth]\nsecret = {env = 'X'}\n[plans.free]\nquota = {env = 1}"),
            Source("b.toml", "[auth]\nsecret = {file = 'y'}\n[plans.free]\nquota = {file = 2}"),
        ]
    )
    assert document.values == {
        "auth": {"secret": {"file": "y"}},
        "plans": {"free": {"quota": {"env": 1, "file": 2}}},
    }


def test_a_toml_file_can_be_merged_into_ini() -> None:
    document = parse_sources([Source("a.ini", "[server]\nworkers = 2"), Source("b.toml", "[server]\nmax_body = 5")])
    assert document.values == {"server": {"workers": "2", "max_body": 5}}


def test_faults_of_syntax_are_told_of_every_file() -> None:
    with pytest.raises(ConfigError) as refused:
        parse_sources([Source("a.toml", "x"), Source("b.toml", "a = 1"), Source("c.toml", "x")])
    assert [problem.file for problem in refused.value.problems] == ["a.toml", "c.toml"]


def test_faults_of_an_ini_text_go_on_with_what_is_merged_into_it() -> None:
    document = parse_sources([Source("a.ini", "x"), Source("b.toml", "a = 1")])
    assert ([problem.file for problem in document.problems], document.values) == (["a.ini"], {"a": 1})
