"""check and init."""

import json
import tomllib
from pathlib import Path

import pytest

from tests.daemons import command, write_config
from tests.gateways import SECRET


def test_a_configuration_that_holds_is_fine(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    found = command("check", "-c", config)
    assert (found.exit_code, found.stdout, found.stderr) == (0, f"{config} is fine\n", "")


def test_every_problem_is_a_line_on_stdout_with_its_place_key_and_hint(tmp_path: Path) -> None:
    config = write_config(tmp_path, server='drain_timeot = "1s"\nbody_timeout = "fast"')
    found = command("check", "-c", config)
    text = config.read_text().splitlines()
    typo, fast = (
        next(n for n, line in enumerate(text, 1) if line.startswith(key)) for key in ("drain_timeot", "body_")
    )
    assert (found.exit_code, found.stderr) == (1, "2 problems\n")
    first, second = found.stdout.splitlines()
    assert first.startswith(f"{config}:{typo}:1: server.drain_timeot: ")
    assert first.endswith('(did you mean "drain_timeout"?)')
    assert second.startswith(f"{config}:{fast}:16: server.body_timeout: is not a duration (write ")


def test_warnings_are_on_stderr_and_no_reason_to_fail(tmp_path: Path) -> None:
    config = write_config(tmp_path, general="[plans.free]\ndefault = true\nquota = { pages = 1 }")
    found = command("check", "-c", config)
    assert (found.exit_code, found.stdout) == (0, f"{config} is fine\n")
    assert found.stderr.startswith(f"warning: {config}:")


def test_json_has_the_same_in_fields(tmp_path: Path) -> None:
    config = write_config(tmp_path, server='body_timeout = "fast"')
    found = command("check", "-c", config, "--format", "json")
    document = json.loads(found.stdout)
    assert (found.exit_code, found.stderr) == (1, "")
    assert (document["file"], document["ok"], document["warnings"]) == (str(config), False, [])
    (problem,) = document["problems"]
    assert problem.keys() == {"file", "line", "column", "key", "message", "hint"}
    assert (problem["file"], problem["key"], problem["message"]) == (
        str(config),
        "server.body_timeout",
        "is not a duration",
    )
    config = write_config(tmp_path)
    found = command("check", "-c", config, "--format", "json")
    assert (found.exit_code, json.loads(found.stdout)) == (
        0,
        {"file": str(config), "ok": True, "problems": [], "warnings": []},
    )


@pytest.mark.parametrize("place", ["", "missing.toml"])
def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path, place: str) -> None:
    found = command("check", "-c", tmp_path / place)
    assert found.exit_code == 1
    assert found.stdout.startswith(f"{tmp_path / place}:0:0: (file): ")


@pytest.mark.parametrize("form", ["xml", "", "JSON "])
def test_a_format_nobody_knows_is_a_usage_error(tmp_path: Path, form: str) -> None:
    assert command("check", "-c", write_config(tmp_path), "--format", form).exit_code == 2


# init


@pytest.mark.parametrize("by", ["argument", "option", "variable"])
def test_init_writes_a_configuration_that_passes_the_check(tmp_path: Path, by: str) -> None:
    target = tmp_path / "new" / "gatewayd.toml"
    arguments = {"argument": [str(target)], "option": ["-c", str(target)]}.get(by, [])
    found = command("init", *arguments, GATEWAYD_CONFIG=str(target) if by == "variable" else None)
    assert (found.exit_code, found.stdout) == (0, f"wrote {target}; next: gatewayd check -c {target}\n")
    checked = command("check", "-c", target, GATEWAYD_JWT_SECRET=SECRET)
    assert (checked.exit_code, checked.stdout, checked.stderr) == (0, f"{target} is fine\n", "")


def test_init_leaves_alone_what_is_there(tmp_path: Path) -> None:
    target = tmp_path / "gatewayd.toml"
    target.write_text("mine")
    found = command("init", target)
    assert (found.exit_code, found.stdout) == (1, "")
    assert found.stderr == f"gatewayd: {target} exists already; it was left as it is\n"
    assert target.read_text() == "mine"
    dangling = tmp_path / "link.toml"
    dangling.symlink_to(tmp_path / "elsewhere.toml")
    assert command("init", dangling).exit_code == 1
    assert not (tmp_path / "elsewhere.toml").exists()


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        pytest.param("file/new.toml", "/file is not a directory", id="a file for a directory"),
        pytest.param("file/deeper/new.toml", ": Not a directory", id="a file further up"),
    ],
)
def test_init_says_where_it_cannot_write(tmp_path: Path, place: str, reason: str) -> None:
    (tmp_path / "file").touch()
    found = command("init", tmp_path / place)
    assert (found.exit_code, found.stdout, found.stderr.count("\n")) == (1, "", 1)
    assert found.stderr.startswith(f"gatewayd: cannot write {tmp_path / place}: ")
    assert f"{reason}\n" in found.stderr


OLD = {
    "EMAIL_AGENT_URL": "http://10.0.0.5:9001/",
    "RAG_AGENT_URL": "http://rag.internal:9002",
    "SCRAPER_AGENT_URL": "",
    "RATE_LIMIT_PER_MINUTE": "90",
    "RATE_LIMIT_PER_HOUR": "2000",
    "REQUEST_TIMEOUT": "12.5",
    "SECRET_KEY": "an older deployment's secret of enough bytes",
    "DATABASE_URL": "postgresql://gateway:hidden@db/gateway",
}


def test_init_takes_over_an_older_deployment_without_copying_its_secrets(tmp_path: Path) -> None:
    target = tmp_path / "gatewayd.toml"
    assert command("init", "--from-env", target, **OLD).exit_code == 0
    text = target.read_text()
    assert "an older deployment" not in text
    assert "hidden" not in text
    written = tomllib.loads(text)
    assert written["rate_limit"]["limits"] == ["90/minute", "2000/hour"]
    assert written["auth"]["secret"] == {"env": "SECRET_KEY"}
    assert written["ledger"]["url"] == "${DATABASE_URL}"
    assert written["routes"]["email"]["upstream"] == "http://10.0.0.5:9001/api/email"
    assert written["routes"]["rag"]["upstream"] == "http://rag.internal:9002/api"
    assert written["routes"]["scraper"]["upstream"] == "http://127.0.0.1:8083/api/scraper"
    assert written["routes"]["aiops"]["timeouts"]["first_byte"] == "12500ms"
    checked = command("check", "-c", target, **OLD)
    assert checked.exit_code == 0


def test_init_refuses_variables_that_cannot_be_kept_all_at_once_and_writes_nothing(tmp_path: Path) -> None:
    target = tmp_path / "gatewayd.toml"
    found = command(
        "init", "--from-env", target, REQUEST_TIMEOUT="soon", RATE_LIMIT_PER_HOUR="many", EMAIL_AGENT_URL="ftp://a"
    )
    assert (found.exit_code, found.stdout) == (1, "")
    *problems, count = found.stderr.splitlines()
    assert sorted(line.split(": ")[1] for line in problems) == [
        "EMAIL_AGENT_URL",
        "RATE_LIMIT_PER_HOUR",
        "REQUEST_TIMEOUT",
    ]
    assert count == "3 problems"
    assert not target.exists()


def test_init_keeps_the_name_of_a_variable_whose_value_has_to_be_mended_and_says_so(tmp_path: Path) -> None:
    target = tmp_path / "gatewayd.toml"
    found = command("init", "--from-env", target, SECRET_KEY="short")
    assert (found.exit_code, found.stderr.count("\n")) == (0, 1)
    assert found.stderr.startswith(
        "warning: the environment:0:0: SECRET_KEY: HS256 needs a secret of at least 32 bytes"
    )
    assert tomllib.loads(target.read_text())["auth"]["secret"] == {"env": "SECRET_KEY"}


def test_stores_that_daemons_share_are_fine(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    text = config.read_text().replace(f'url = "sqlite:{tmp_path}/ledger.db"', 'url = "postgresql://u:s3cret@h/db"')
    config.write_text(text + '[counters]\nurl = "redis://h"\n')
    found = command("check", "-c", config)
    assert (found.exit_code, found.stderr) == (0, "")


def test_init_writes_no_toml_into_an_ini(tmp_path: Path) -> None:
    found = command("init", tmp_path / "b.ini")
    assert found.exit_code == 1
    assert "b.toml" in found.stderr
    assert not list(tmp_path.iterdir())


def test_every_problem_of_an_ini_is_told_whatever_its_sections_are_called(tmp_path: Path) -> None:
    config = tmp_path / "g.ini"
    config.write_text("[rout:b]\nprefx = /b\n[server]\nworkers = lots\nworkers = 2\n[plan:p]\nquota.tokens = abc\n")
    found = command("check", "-c", config)
    said = {line.split(": ", 2)[1] for line in found.stdout.splitlines()}
    assert said >= {"rout:b", "server.workers", "plans.p.quota.tokens", "auth.secret"}


@pytest.mark.parametrize("name", ["status", "stop", "usage"])
def test_commands_that_ask_need_no_secret(tmp_path: Path, name: str) -> None:
    config = write_config(tmp_path)
    found = command(name, "-c", config, SECRET=None)
    assert "SECRET" not in found.output
    assert found.stderr.startswith("gatewayd: ")  # nothing runs and nothing was used here, and that is all it says
