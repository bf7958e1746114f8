"""No room on the disk: for the ledger, for a journal, for a start. Nothing is lost, and all goes on when there is."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import count
from pathlib import Path

import aiohttp
import pytest

from tests.daemons import RunningDaemon, gatewayd, running_daemon
from tests.faults.crowds import (
    PATH,
    bearer,
    call,
    configured,
    counting_agent,
    finished,
    nothing_held,
    posted,
)
from tests.faults.disks import Disk, SmallDisk, may_mount, short_files, small_disk
from tests.patience import PATIENCE
from tests.problems import Answered, ask
from tests.process.crews import pids

LIMITED = bearer("ann")
UNLIMITED = bearer("bob", plan="open")
CALLERS = 16
_numbers = count()

mounting = pytest.mark.skipif(not may_mount(), reason="only root may mount")
DISKS = [pytest.param(small_disk, id="a full disk") if may_mount() else pytest.param(short_files, id="short files")]
Making = Callable[[Path], AbstractContextManager[Disk]]


def somebody() -> dict[str, str]:
    """Always another one, whose intent is so long that a segment is soon full."""
    return bearer(f"{next(_numbers)}{chr(0x1F600) * 250}", plan="open")


async def until_refused(daemon: RunningDaemon, anybody: Callable[[], dict[str, str]]) -> Answered:
    """Call and call; the first answer that is not the agent's."""
    found: list[Answered] = []

    async def keep_calling(session: aiohttp.ClientSession) -> None:
        while not found:
            if (answer := await ask(session, PATH, anybody())).status != 200:
                found.append(answer)

    async with daemon.session() as session, asyncio.timeout(PATIENCE):
        await asyncio.gather(*(keep_calling(session) for _ in range(CALLERS)))
    return found[0]


async def served_again(daemon: RunningDaemon, headers: dict[str, str]) -> None:
    async with asyncio.timeout(PATIENCE):
        while (answer := await call(daemon, headers)).status != 200:
            answer.problem(503, "store_unavailable")
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("making", DISKS)
async def test_without_room_callers_get_service_or_503_and_with_it_every_record_is_there(
    tmp_path: Path, making: Making
) -> None:
    async with counting_agent() as (agent, counting):
        with making(tmp_path / "state") as disk:
            config = configured(tmp_path / "conf", agent.url, state=disk.directory)
            async with running_daemon(config) as daemon:
                assert (await call(daemon, LIMITED)).status == 200
                await posted(config, set(counting.reached))
                processes = (await asyncio.to_thread(pids, config)).values()
                disk.fill(processes)
                assert (await call(daemon, UNLIMITED)).status == 200
                await daemon.said("the ledger is away")
                (await until_refused(daemon, lambda: LIMITED)).problem(503, "store_unavailable")
                (await until_refused(daemon, somebody)).problem(503, "store_unavailable")
                assert (await call(daemon, {}, "/health")).status == 200
                assert f"ledger {disk.directory}/ledger.db cannot be written (" in daemon.log
                assert f"journal {disk.directory}/journal/" in daemon.log
                if isinstance(disk, SmallDisk):
                    assert "is full): free space on its disk" in daemon.log
                    assert "takes no requests (No space left on device): they get 503 until there is room" in daemon.log
                    found = await asyncio.to_thread(gatewayd, "account", "set", "ann", "--plan", "open", "-c", config)
                    assert (found.returncode, "cannot grow: free space on its disk" in found.stderr) == (1, True)
                disk.make_room(processes)
                await served_again(daemon, LIMITED)
                await served_again(daemon, UNLIMITED)
                records = await posted(config, set(counting.reached))
                assert records.keys() == set(counting.reached)
                assert {each.outcome for each in records.values()} == {"delivered"}
                await nothing_held(config)
                await finished(daemon)


@mounting
async def test_a_daemon_killed_on_a_full_disk_is_not_started_before_there_is_room_and_then_posts_all(
    tmp_path: Path,
) -> None:
    async with counting_agent() as (agent, counting):
        with small_disk(tmp_path / "state") as disk:
            config = configured(tmp_path / "conf", agent.url, state=disk.directory)
            async with running_daemon(config) as daemon:
                assert (await call(daemon, LIMITED)).status == 200
                disk.fill()
                assert (await call(daemon, UNLIMITED)).status == 200
                daemon.process.kill()
                await daemon.ended()
            found = await asyncio.to_thread(gatewayd, "start", "-c", config)
            assert (found.returncode, found.stdout) == (1, "")
            assert "Traceback" not in found.stderr
            assert "No space left on device" in found.stderr or "free space on its disk" in found.stderr
            disk.make_room()
            async with running_daemon(config) as successor:
                assert set((await posted(config, set(counting.reached))).keys()) == set(counting.reached)
                await finished(successor)


@mounting
async def test_a_worker_that_dies_on_a_full_disk_is_replaced_when_there_is_room(tmp_path: Path) -> None:
    async with counting_agent() as (agent, counting):
        with small_disk(tmp_path / "state") as disk:
            config = configured(tmp_path / "conf", agent.url, state=disk.directory)
            async with running_daemon(config) as daemon:
                assert (await call(daemon, LIMITED)).status == 200
                disk.fill()
                found = await asyncio.to_thread(pids, config)
                os.kill(found["bookkeeper"], signal.SIGSTOP)  # who would make room, and delete the dead one's journal
                os.kill(found["worker"], signal.SIGKILL)
                await daemon.said("a journal cannot be made in")
                assert "make room for" in daemon.log
                disk.make_room()
                os.kill(found["bookkeeper"], signal.SIGCONT)
                assert (await call(daemon, LIMITED)).status == 200
                await posted(config, set(counting.reached))
                await finished(daemon)
