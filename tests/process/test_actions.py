"""Who had the daemon do what: the kernel says who, and nobody can say more than a few words."""

import json
import os
import pwd
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from gatewayd.config.loading import load
from gatewayd.process.actions import Actions, Peer, account
from gatewayd.process.course import Course
from tests.clocks import ManualClock
from tests.daemons import write_config
from tests.gateways import PLANS, SECRET

ME = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture
def actions(tmp_path: Path) -> Actions:
    config = write_config(tmp_path, general=f"{PLANS}\n[audit_log]\nfile = '{tmp_path}/audit.log'\n")
    return Actions(Course(load(config, {"SECRET": SECRET}).settings), ManualClock())


def noted(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "audit.log").read_text().splitlines()]


def test_the_kernel_says_who_is_at_the_other_end() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert Peer.of(ours) == Peer(os.getpid(), os.getuid())


def test_a_user_without_a_name_is_told_by_number() -> None:
    assert account(os.getuid()) == ME
    assert account(4_000_000_000) == "uid 4000000000"


def test_an_action_is_its_callers_whatever_the_caller_says(tmp_path: Path, actions: Actions) -> None:
    words = {"peer": Peer(7, os.getuid()), "by": "root", "uid": 0, "sudo": "zoe", "origin": "x" * 10_000}
    actions.note("reload", words, {"generation": 2}, result="refused")
    (found,) = noted(tmp_path)
    assert (found["by"], found["uid"], found["pid"], found["result"]) == (
        f"{ME} (sudo by zoe)",
        os.getuid(),
        7,
        "refused",
    )
    assert len(found["from"]) == 256
    actions.note("stop", {"peer": None, "sudo": 5}, {})
    assert (noted(tmp_path)[1]["by"], noted(tmp_path)[1]["from"]) == ("somebody", "control socket")


def test_a_signal_is_noted_by_its_name(tmp_path: Path, actions: Actions) -> None:
    actions.note_signal("stop", signal.SIGTERM, {"daemon": 1})
    (found,) = noted(tmp_path)
    assert (found["action"], found["by"], found["from"]) == ("stop", f"{ME} or root", "SIGTERM")


def test_commands_have_noted_what_they_do_by_themselves(tmp_path: Path, actions: Actions) -> None:
    words = {"peer": Peer(7, os.getuid()), "action": "revoke", "subject": {"tokens": "user", "subject": "ann"}}
    assert actions.told(words) == {"noted": True}
    assert noted(tmp_path)[0]["subject"] == "ann"


@pytest.mark.parametrize(
    "words",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"action": "reload", "subject": {}}, id="what the daemon notes itself"),
        pytest.param({"action": ["revoke"], "subject": {}}, id="a list"),
        pytest.param({"action": "revoke"}, id="no subject"),
        pytest.param({"action": "revoke", "subject": "ann"}, id="a text"),
        pytest.param({"action": "revoke", "subject": {"user": {"a": 1}}}, id="a deep one"),
        pytest.param({"action": "revoke", "subject": {"user": "x" * 5_000}}, id="a long one"),
    ],
)
def test_anything_else_is_not_noted(tmp_path: Path, actions: Actions, words: dict[str, Any]) -> None:
    assert "what is noted is account set, ledger release, revoke" in str(actions.told({"peer": None, **words})["error"])
    assert not (tmp_path / "audit.log").exists()


def test_what_cannot_be_written_is_told_and_done_all_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = write_config(tmp_path, general=f"{PLANS}\n[audit_log]\nfile = '/dev/full'\n")
    actions = Actions(Course(load(config, {"SECRET": SECRET}).settings), ManualClock())
    actions.note_signal("stop", signal.SIGTERM, {})
    assert "audit_log.file: /dev/full cannot be written: No space left on device" in caplog.text
