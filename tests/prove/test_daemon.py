import random
import sys
from pathlib import Path

import pytest

from gatewayd.prove import daemon as daemon_module
from gatewayd.prove.daemon import Daemon, DaemonFailed, a_worker


def daemon(tmp_path: Path, program: str) -> Daemon:
    """One whose process runs this program instead."""
    found = Daemon(tmp_path / "daemon.toml", tmp_path / "state", {"MARK": "here"}, "")
    found._command = [sys.executable, "-c", program]
    return found


READY = "print('gatewayd 1 ready on http://127.0.0.1:4711 (pid 1)', flush=True)"
SLEEP = "import time; time.sleep(60)"


async def test_its_port_is_in_the_ready_line(tmp_path: Path) -> None:
    started = daemon(tmp_path, f"{READY}; {SLEEP}")
    await started.start()
    assert started.port == 4711
    await started.kill()
    await started.kill()


async def test_one_that_does_not_start_is_quoted(tmp_path: Path) -> None:
    talking, silent = daemon(tmp_path, "import sys; sys.exit('first\\nthe reason')"), daemon(tmp_path / "..", "pass")
    with pytest.raises(DaemonFailed, match="did not start: the reason"):
        await talking.start()
    with pytest.raises(DaemonFailed, match="did not start: it said nothing"):
        await silent.start()
    mixed = daemon(tmp_path, "import sys; sys.exit('1 ERROR x: the error\\nand a warning')")
    with pytest.raises(DaemonFailed, match="did not start: 1 ERROR x: the error"):
        await mixed.start()
    await mixed.kill()
    await talking.kill()
    await silent.kill()


async def test_one_that_never_says_that_it_is_ready_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon_module, "START_PATIENCE", 0.1)
    started = daemon(tmp_path, SLEEP)
    with pytest.raises(DaemonFailed, match="did not start"):
        await started.start()
    with pytest.raises(DaemonFailed, match="did not recover"):
        await started.until_whole()
    await started.kill()


async def test_an_end_that_is_not_orderly_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon_module, "END_PATIENCE", 0.2)
    started = daemon(tmp_path, f"{READY}; {SLEEP}")
    await started.start()
    with pytest.raises(DaemonFailed, match="exit code -15"):
        await started.stop()
    await started.stop()
    deaf = daemon(tmp_path, f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {READY}; {SLEEP}")
    await deaf.start()
    with pytest.raises(DaemonFailed, match="did not stop"):
        await deaf.stop()
    await deaf.kill()


async def test_it_is_told_nothing_of_who_tries_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAYD_CONFIG", "/elsewhere")
    monkeypatch.setenv("LISTEN_FDS", "1")
    environ = daemon(tmp_path, SLEEP)._environ
    assert not {"GATEWAYD_CONFIG", "LISTEN_FDS"} & environ.keys()
    assert environ["MARK"] == "here"


def test_a_worker_is_chosen_by_chance() -> None:
    names, chance = ["bookkeeper", "operators", "worker 1", "worker 2"], random.Random(1)
    assert {a_worker(names, chance)[0] for _ in range(50)} == {"worker 1", "worker 2"}
    assert a_worker(names[:2], chance) == []
