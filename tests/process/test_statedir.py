"""One directory, one daemon."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gatewayd.errors import StartError
from gatewayd.process.statedir import occupied
from tests.daemons import ROOT


def test_the_directory_is_made_with_those_above_it_for_this_user_alone(tmp_path: Path) -> None:
    with occupied(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_who_comes_second_is_told_who_was_first_and_may_come_when_that_one_left(tmp_path: Path) -> None:
    with occupied(tmp_path):
        with pytest.raises(StartError, match=rf"^another gatewayd \(process {os.getpid()}\) runs in {tmp_path}: "):
            occupied(tmp_path).__enter__()
        with pytest.raises(StartError):
            occupied(tmp_path).__enter__()
    with occupied(tmp_path):
        pass


def test_a_dead_holder_keeps_nobody_out(tmp_path: Path) -> None:
    hold = "import sys; from pathlib import Path; from gatewayd.process.statedir import occupied; "
    hold += "held = occupied(Path(sys.argv[1])); held.__enter__(); print('in', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", hold, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"in\n"
        with pytest.raises(StartError, match=f"process {process.pid}"):
            occupied(tmp_path).__enter__()
        process.kill()
    with occupied(tmp_path):
        pass


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_file_in_its_place_is_named(tmp_path: Path, below: str) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(StartError, match=r"^server\.state_dir: cannot write to .*/state.*: it is not a directory$"):
        occupied(tmp_path / "state" / below).__enter__()


def test_a_place_where_nothing_can_be_made_is_named_with_the_reason() -> None:
    with pytest.raises(StartError, match=r"^server\.state_dir: cannot write to /proc/gatewayd: \w+"):
        occupied(Path("/proc/gatewayd")).__enter__()
