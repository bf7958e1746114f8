from contextlib import suppress
from pathlib import Path

import pytest

from gatewayd.prove.conditions import Conditions
from gatewayd.prove.configuration import Bought, Price
from gatewayd.prove.daemon import DaemonFailed
from gatewayd.prove.stage import stage

LIMITED = Bought(quota=2)


def running(folder: Path) -> list[str]:
    """Command lines of processes that name something in the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has just ended
            found.append((process / "cmdline").read_text())
    return [line for line in found if str(folder) in line]


async def test_a_stage_has_a_gateway_users_and_callers_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async with stage(Conditions(1, tmp_path), "play", (Bought(), LIMITED), workers=2) as place:
        ann, bob, caller = place.user(LIMITED), place.user(LIMITED), place.caller()
        assert ann.name != bob.name
        assert ann.name.startswith(place.prefix)
        statuses = [(await caller.call(Price(1).target(), user.token)).status for user in (ann, bob, ann, ann)]
        assert statuses == [200, 200, 200, 402]
        assert [visit.user for visit in place.agent.visits] == [ann.name, bob.name, ann.name]
        assert running(tmp_path)
        caller.leave()
    assert not running(tmp_path)


async def test_a_trial_that_fails_leaves_no_process_either(tmp_path: Path) -> None:
    async def fail() -> None:
        async with stage(Conditions(1, tmp_path), "play", (LIMITED,), workers=1):
            assert running(tmp_path)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert not running(tmp_path)


async def test_killed_children_are_seen_to_be_replaced(tmp_path: Path) -> None:
    async with stage(Conditions(1, tmp_path), "play", (LIMITED,), workers=2) as place:
        [daemon] = place.daemons
        assert await daemon.is_whole()
        await daemon.kill_children(lambda names: [name for name in names if name.startswith("worker")])
        await daemon.until_whole()
        restarts = {each["name"]: each["restarts"] for each in (await daemon.status())["children"]}
        assert restarts == {"bookkeeper": 0, "worker 1": 1, "worker 2": 1, "operators": 0}
        await daemon.kill()
        assert await daemon.status() == {}
        assert not await daemon.is_whole()
        await daemon.start()
        await daemon.until_whole()
        await place.stop()


async def test_a_daemon_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DaemonFailed, match=r"did not start: .*ledger"):
        async with stage(Conditions(1, tmp_path, ledger=f"sqlite:{tmp_path}/file/x.db"), "play", (), workers=1):
            pass
