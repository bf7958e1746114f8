"""prove, as a person runs it: what it says, how it ends, and that nothing stays behind."""

import asyncio
import json
import signal
from pathlib import Path

import pytest

from gatewayd.prove.catalogue import TRIALS, checks_of
from gatewayd.prove.faults import FAULTS
from gatewayd.prove.trials import endings
from tests.daemons import COMMAND, command, environment
from tests.patience import PATIENCE
from tests.prove.test_stage import running


def test_the_list_says_what_each_check_promises_and_how_it_is_broken() -> None:
    found = command("prove", "--list")
    assert (found.exit_code, found.stderr) == (0, "")
    for check in checks_of(TRIALS):
        assert f"{check.name}\n       {check.promise}\n" in found.stdout
    assert found.stdout.count("--sabotage ") == len(FAULTS)


def test_a_configuration_is_taken_and_left_alone(tmp_path: Path) -> None:
    assert command("prove", "--list", "-c", tmp_path / "none.toml").exit_code == 0


def test_a_promise_that_is_kept_is_a_line_with_its_figures() -> None:
    found = command("prove", "--check", "broken-body", "--rounds", "1", "--seed", "17", "--workers", "1")
    assert found.exit_code == 0
    assert found.stderr == "trying endings\n"
    first, line = found.stdout.splitlines()
    assert first == "seed 17"
    assert line == "ok     broken-body     taken for whole 0, came broken 0, misrecorded 0, broken off 3, whole 2"


def test_a_promise_that_is_broken_is_named_and_told_by_the_exit_code() -> None:
    found = command("prove", "--sabotage", "patched-body", "--rounds", "1", "--workers", "1", "--format", "json")
    assert found.exit_code == 1
    document = json.loads(found.stdout)
    [check] = document["checks"]
    assert (check["name"], check["passed"]) == ("broken-body", False)
    assert check["figures"]["taken for whole"] == 2 * endings.ROUNDS  # one would be too few for other faults
    assert check["reasons"][0].startswith("taken for whole: ")
    assert isinstance(document["seed"], int)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--workers", "1,0"], "not a list of numbers from 1 to 64"),
        (["--workers", "many"], "not a list of numbers"),
        (["--daemons", "2"], "name --ledger postgresql:… and --counters redis:…"),
        (["--daemons", "2", "--ledger", "postgresql://h/d"], "several daemons share their stores"),
        (["--ledger", "sqlite:x.db"], "--ledger: SQLite files are made anew"),
        (["--ledger", "mysql://h/d"], "--ledger: mysql: is not a kind of store"),
        (["--counters", "cassandra://h"], "--counters: cassandra: is not a kind of store"),
        (["--check", "nothing"], "'nothing' is not one of"),
        (["--sabotage", "nothing"], "'nothing' is not one of"),
        (["--rounds", "0"], "x>=1"),
    ],
)
def test_what_cannot_be_tried_is_refused_with_a_reason(options: list[str], words: str) -> None:
    found = command("prove", *options)
    assert found.exit_code == 2
    assert words in found.stderr.replace("\n", " ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupt_ends_it_all(tmp_path: Path, number: signal.Signals) -> None:
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *("prove", "--check", "overspend", "--workers", "2"),
        env=environment(TMPDIR=str(tmp_path)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            while not running(tmp_path):
                await asyncio.sleep(0.01)
            process.send_signal(number)
            said, error = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 130
    assert said.startswith(b"seed ")
    assert error.decode() == "trying quotas\ngatewayd: interrupted: nothing was proved\n"
    assert not running(tmp_path)
    assert list(tmp_path.iterdir()) == []
