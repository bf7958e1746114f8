"""A daemon that becomes another program, or is started again by socket activation, while callers come all the time."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.agents import answering, raw_agent
from tests.daemons import COMMAND, PATIENCE, RunningDaemon, Stream, environment, gatewayd, running_daemon
from tests.process.callers import calling
from tests.process.crews import eventually, is_running, numbers
from tests.process.reloads import bearer, email, route, says, status_of
from tests.process.test_daemon import PASS_SOCKET, records
from tests.process.test_tenancy import tenant_of

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"
PATH = "/api/email/process"


async def upgrade(daemon: RunningDaemon, *words: str) -> "subprocess.CompletedProcess[str]":
    return await asyncio.to_thread(gatewayd, "upgrade", *words, "-c", daemon.config)


@pytest.mark.parametrize("workers", [1, 2])
async def test_an_upgrade_refuses_nobody_and_cuts_no_stream(tmp_path: Path, workers: int) -> None:
    stream, server = Stream(), f"workers = {workers}"
    async with raw_agent(answering(OK)) as agent, raw_agent(stream.script) as slow:
        config = says(tmp_path, email(agent.url), route("slow", slow.url), server=server)
        async with running_daemon(config) as daemon, contextlib.AsyncExitStack() as stack:
            session = await stack.enter_async_context(aiohttp.ClientSession(daemon.url, headers=bearer()))
            response = await stack.enter_async_context(session.get("/slow/x"))
            assert await response.content.readany() == b"first"
            before = await status_of(daemon)
            old = {each["pid"] for each in before["children"]}
            async with calling(daemon.url) as callers:
                for turn in (1, 2):
                    found = await upgrade(daemon)
                    assert found.returncode == 0, found.stderr + daemon.log
                    assert found.stdout.startswith(
                        f"pid {daemon.process.pid} is gatewayd 0.1.0 now, generation {1 + turn}"
                    )
                    seen = callers.met["200"]
                    while callers.met["200"] < seen + 20:
                        await asyncio.sleep(0.01)
            assert set(callers.met) == {"200"}
            after = await status_of(daemon)
            assert (after["image"], after["generation"], after["pid"]) == (3, 3, daemon.process.pid)
            assert "1" in after["running_by_generation"], "the stream goes on where it began"
            values = await numbers(after["admin"])
            assert after["admin"] == before["admin"]
            key = 'gatewayd_requests_total{code="200",method="GET",route="email"}'
            assert values[key] == callers.met["200"], "nothing that was counted is forgotten"
            stream.go_on.set()
            assert await response.content.read() == b"last"
            await stack.aclose()
            await eventually(lambda: not any(map(is_running, old)))
            daemon.signal(signal.SIGTERM)
            assert await daemon.ended() == 0
    assert "Traceback" not in daemon.log
    assert records(config) == [("delivered", 1)] * (callers.met["200"] + 1), "each call has one record"
    found = await asyncio.to_thread(gatewayd, "ledger", "verify", "-c", config)
    assert found.returncode == 0, found.stderr


async def test_limits_go_on_over_an_upgrade(tmp_path: Path) -> None:
    limits = '[rate_limit]\nlimits = ["4/day"]\n[plans.free]\ndefault = true\n'
    met = []
    async with (
        raw_agent(answering(OK)) as agent,
        running_daemon(says(tmp_path, email(agent.url), general=limits)) as daemon,
    ):
        for turn in range(6):
            session = aiohttp.ClientSession(daemon.url, headers=bearer())
            async with session, session.get(PATH) as response:
                met.append(response.status)
            if turn == 1:
                assert (await upgrade(daemon)).returncode == 0
    assert met == [200] * 4 + [429] * 2


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (None, "cannot be run"),
        ("#!/bin/sh\necho no such thing >&2\nexit 2\n", "no such thing"),
    ],
    ids=["missing", "unable"],
)
async def test_a_program_that_cannot_take_over_is_refused_and_nothing_has_changed(
    tmp_path: Path, program: str | None, words: str
) -> None:
    executable = tmp_path / "gatewayd-new"
    if program is not None:
        executable.write_text(program)
        executable.chmod(0o755)
    async with raw_agent(answering(OK)) as agent, running_daemon(says(tmp_path, email(agent.url))) as daemon:
        before = await status_of(daemon)
        found = await upgrade(daemon, "--executable", str(executable))
        assert (found.returncode, found.stdout) == (1, "")
        assert words in found.stderr
        assert "the daemon serves on as it was" in found.stderr
        after = await status_of(daemon)
        assert (after["image"], after["children"]) == (1, before["children"])


async def test_a_broken_configuration_is_found_before_the_program_is_left(tmp_path: Path) -> None:
    config = says(tmp_path, email("http://127.0.0.1:9"))
    async with running_daemon(config) as daemon:
        config.write_text(config.read_text() + "[routes.b]\nprefix = 5\n")
        found = await upgrade(daemon)
        assert found.returncode == 1
        assert (await status_of(daemon))["image"] == 1


class Rehearsal:
    """Of a program that takes its time until it is let go on."""

    def __init__(self, folder: Path) -> None:
        self.program = folder / "slow"
        self._begun, self._may_end = folder / "begun", folder / "may end"
        self.program.write_text(
            f'#!/bin/sh\necho $$ > "{self._begun}.new"\nmv "{self._begun}.new" "{self._begun}"\n'
            f'until [ -e "{self._may_end}" ]; do sleep 0.02; done\nexec {sys.executable} -m gatewayd "$@"\n'
        )
        self.program.chmod(0o755)

    async def begun(self) -> int:
        """Its process id."""
        await eventually(self._begun.exists)
        return int(self._begun.read_text())

    def end(self) -> None:
        self._may_end.touch()


async def test_a_stop_that_comes_while_the_next_program_is_rehearsed_is_obeyed(tmp_path: Path) -> None:
    rehearsal = Rehearsal(tmp_path)
    async with raw_agent(answering(OK)) as agent, running_daemon(says(tmp_path, email(agent.url))) as daemon:
        upgraded = asyncio.create_task(upgrade(daemon, "--executable", str(rehearsal.program)))
        await rehearsal.begun()
        daemon.signal(signal.SIGTERM)
        rehearsal.end()
        assert await daemon.ended() == 0, daemon.log
        assert "the daemon is stopping" in (await upgraded).stderr


async def test_a_stop_that_comes_while_the_counters_tenant_is_asked_to_share_is_obeyed(tmp_path: Path) -> None:
    rehearsal = Rehearsal(tmp_path)
    async with raw_agent(answering(OK)) as agent, running_daemon(says(tmp_path, email(agent.url))) as daemon:
        worker = await tenant_of(daemon)
        upgraded = asyncio.create_task(upgrade(daemon, "--executable", str(rehearsal.program)))
        program = await rehearsal.begun()
        os.kill(worker, signal.SIGSTOP)  # it answers nothing, for less time than it takes to be replaced
        rehearsal.end()
        await eventually(lambda: not is_running(program))
        assert not upgraded.done()
        daemon.signal(signal.SIGTERM)
        os.kill(worker, signal.SIGCONT)
        assert await daemon.ended() == 0, daemon.log
        assert "the daemon is stopping" in (await upgraded).stderr


async def test_socket_activated_restarts_refuse_nobody(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=512) as public:
        fd = os.dup2(public.fileno(), 100)
        url = f"http://127.0.0.1:{public.getsockname()[1]}"
        log = (tmp_path / "stderr").open("a")
        async with raw_agent(answering(OK)) as agent, calling(url) as callers:
            config = says(tmp_path, email(agent.url), listen="systemd:public", server="workers = 2")
            for turn in range(3):
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-c", PASS_SOCKET, str(fd), "public"),
                    *(*COMMAND, "start", "-c", str(config)),
                    stdout=asyncio.subprocess.PIPE,
                    stderr=log,
                    env=environment(),
                    pass_fds=[fd],
                )
                assert process.stdout is not None
                assert b"ready on" in await process.stdout.readline()
                seen = callers.met["200"]
                async with asyncio.timeout(PATIENCE):
                    while callers.met["200"] < seen + 20:
                        await asyncio.sleep(0.01)
                if turn == 2:
                    await callers.leave()
                process.terminate()
                assert await process.wait() == 0
        log.close()
        os.close(fd)
    assert set(callers.met) == {"200"}
