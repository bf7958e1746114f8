"""make, as far as it needs no network: its help, and that Ctrl-C leaves nothing behind."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.daemons import ROOT, environment
from tests.patience import PATIENCE

TARGETS = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)


def make(*words: str) -> str:
    command = ["make", "-C", str(ROOT), "--no-print-directory", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE).stdout


def test_help_lists_every_target_with_a_sentence() -> None:
    listed = {line.split()[0]: line.split()[1:] for line in make("help").splitlines()}
    assert list(listed) == TARGETS
    assert {"help", "install", "run", "test", "lint", "types", "cover"} <= listed.keys()
    assert all(listed.values())
    assert make() == make("help")


def installed(directory: Path) -> list[str]:
    """What tells make that all is installed, with a gatewayd that takes free ports and works in `directory`."""
    for name in ("bin/python", "bin/gatewayd", ".installed", ".installed-test"):
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).touch(mode=0o755)
    script = f'#!/bin/sh\ncd {directory}\nexec {sys.executable} -m gatewayd "$@" --free-ports\n'
    (directory / "bin/gatewayd").write_text(script)
    return [f"VENV={directory}"]


def test_what_is_installed_is_not_installed_again(tmp_path: Path) -> None:
    assert "pip" not in make("--dry-run", "test", *installed(tmp_path))
    assert "pip" in make("--dry-run", "test", f"VENV={tmp_path}/other")


def test_ctrl_c_on_make_run_stops_everything(tmp_path: Path) -> None:
    command = ["make", "-C", str(ROOT), "run", *installed(tmp_path)]
    with subprocess.Popen(command, env=environment(), stdout=-1, stderr=-1, text=True, process_group=0) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("# Ctrl-C"):
                break
        os.killpg(process.pid, signal.SIGINT)  # a terminal tells the whole group
        _, stderr = process.communicate(timeout=PATIENCE)
    assert (tmp_path / "var").is_dir()
    assert "Traceback" not in stderr
    assert "draining: 0 requests in flight" in stderr
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        pass
    else:
        raise AssertionError("something of it still runs")


def test_install_systemd_puts_everything_where_systemd_looks(tmp_path: Path) -> None:
    (tmp_path / "venv/bin").mkdir(parents=True)
    (tmp_path / "venv/bin/gatewayd").touch(mode=0o755)
    make("install-systemd", f"DESTDIR={tmp_path}/root", "PREFIX=/opt", f"SYSTEM_VENV={tmp_path}/venv")
    units = tmp_path / "root/etc/systemd/system"
    assert sorted(each.name for each in units.iterdir()) == [
        "gatewayd.service",
        "gatewayd.service.d",
        "gatewayd.socket",
        "gatewayd@.service",
    ]
    assert "ExecStart=/opt/bin/gatewayd start" in (units / "gatewayd.service").read_text()
    assert (tmp_path / "root/opt/bin/gatewayd").readlink() == tmp_path / "venv/bin/gatewayd"
