"""demo: what it prints works as printed, and nothing of it stays behind."""

import asyncio
import json
import os
import re
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gatewayd.config.loading import parse
from gatewayd.config.starter import AGENTS, from_environment
from gatewayd.demo.agents import AGENTS as RUNNING
from gatewayd.demo.samples import samples
from tests.daemons import COMMAND, command, environment, gatewayd, write_config
from tests.gateways import SECRET
from tests.patience import PATIENCE


class Demo:
    """A demo that has said all it says at the start."""

    def __init__(self, process: asyncio.subprocess.Process, said: str, directory: Path) -> None:
        self.process = process
        self.said = said
        self.directory = directory

    @property
    def url(self) -> str:
        found = re.search(r"^gatewayd \S+ ready on (http://127\.0\.0\.1:\d+) \(pid \d+\)$", self.said, re.MULTILINE)
        assert found is not None, self.said
        return found[1]

    @property
    def ports(self) -> list[int]:
        return [int(port) for port in re.findall(r"^(?:agent|gatewayd) .*127\.0\.0\.1:(\d+)", self.said, re.MULTILINE)]

    def lines(self, beginning: str) -> list[str]:
        return [line for line in self.said.splitlines() if line.startswith(beginning)]

    async def shell(self, line: str) -> str:
        """What a shell prints for the line, after the printed export."""
        (export,) = self.lines("export TOKEN=")
        process = await asyncio.create_subprocess_exec(
            "sh", "-c", f"{export}\n{line}", stdout=asyncio.subprocess.PIPE, env=environment(), cwd="/"
        )
        async with asyncio.timeout(PATIENCE):
            output, _ = await process.communicate()
        assert process.returncode == 0, line
        return output.decode()

    async def ended(self) -> int:
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()


@asynccontextmanager
async def running_demo(directory: Path, *, nohup: bool = False) -> AsyncIterator[Demo]:
    with (directory / "stderr").open("w") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(("sh", "-c", 'trap "" HUP; exec "$@"', "sh") if nohup else ()),
            *COMMAND,
            *("demo", "--free-ports"),
            cwd=directory,
            env=environment(),
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
        )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            said = (await process.stdout.readuntil(b"# Ctrl-C stops all of it\n")).decode()
        yield Demo(process, said, directory)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def is_free(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) != 0


async def test_every_printed_line_works_as_printed_and_streams_stream(tmp_path: Path) -> None:
    async with running_demo(tmp_path) as demo:
        curls = demo.lines("curl ")
        assert len(curls) == len(samples()) + 1
        assert len(demo.lines("agent ")) == 5
        for line in curls:
            status = "\\n%{http_code} %{content_type} %{time_starttransfer} %{time_total}"
            *body, end = (await demo.shell(f"{line} -w '{status}'")).splitlines()
            code, *kind, first_byte, total = end.split(" ")
            assert code in ("200", "201"), f"{line}\n{body}"
            if " -N " in line:
                assert kind[0].startswith("text/event-stream")
                assert len([event for event in body if event.startswith("data:")]) > 3
                assert float(first_byte) < float(total) / 2  # the first event came while others were still to come
        usage = json.loads(await demo.shell(curls[-1]))
        spent = {unit["unit"]: unit["spent"] for unit in usage["units"]}
        assert re.fullmatch(r"demo-[0-9a-f]{6}", usage["user"])  # nobody's before, so nothing is used up
        assert spent == {"api_calls": len(samples()) - 2, "scraping_tasks": 3, "tokens": 0}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_stops_all_of_it(tmp_path: Path, number: signal.Signals) -> None:
    async with running_demo(tmp_path) as demo:
        assert len(demo.ports) == 6
        assert not any(is_free(port) for port in demo.ports)
        demo.process.send_signal(number)
        assert await demo.ended() == 0
        assert all(is_free(port) for port in demo.ports)
        assert "Traceback" not in (tmp_path / "stderr").read_text()
        assert sorted(path.name for path in (tmp_path / "var").iterdir()) == [
            "directory.json",
            "gatewayd.db",
            "gatewayd.db.lock",
            "gatewayd.lock",
            "journal",
            "node",
        ]
        assert not any((tmp_path / "var" / "journal").iterdir())


async def test_a_demo_under_nohup_outlives_its_terminal(tmp_path: Path) -> None:
    async with running_demo(tmp_path, nohup=True) as demo:
        demo.process.send_signal(signal.SIGHUP)
        assert await demo.shell(f"curl -sS {demo.url}/health") == '{"status":"ok"}'
        demo.process.send_signal(signal.SIGTERM)
        assert await demo.ended() == 0
        assert "SIGHUP was ignored" in (tmp_path / "stderr").read_text()


async def test_a_demo_whose_reader_has_gone_ends(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *("demo", "--free-ports"),
        cwd=tmp_path,
        env=environment(),
        stdout=writing,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(writing)
    async with asyncio.timeout(PATIENCE):
        _, stderr = await process.communicate()
    assert process.returncode == 1
    assert b"Traceback" not in stderr


def test_its_ports_are_the_contracts() -> None:
    settings = parse(from_environment({}).text, "demo.toml", {"GATEWAYD_JWT_SECRET": SECRET}).settings
    assert [str(address) for address in settings.server.listen] == ["127.0.0.1:8080"]
    assert [settings.routes[agent.name].upstream for agent in AGENTS] == [(agent.upstream(),) for agent in RUNNING]
    assert [agent.port for agent in RUNNING] == [8081, 8082, 8083, 8084, 8085]


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8081))
            taken.listen()
        except OSError:
            pass  # somebody else has it, which is as good
        found = gatewayd("demo", cwd=tmp_path)
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr.startswith("gatewayd: the email agent cannot listen on 127.0.0.1:8081: ")
    assert found.stderr.count("\n") == 1


def test_a_port_in_use_that_the_gateway_needs_is_one_line_too(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        config = write_config(tmp_path, listen=address)
        found = command("demo", "-c", config)
    assert found.exit_code == 1
    assert found.stderr.splitlines()[-1].startswith((f"gatewayd: cannot listen on {address}: ", "gatewayd: the "))


def test_free_ports_and_a_configuration_do_not_go_together(tmp_path: Path) -> None:
    found = command("demo", "--free-ports", "-c", write_config(tmp_path))
    assert (found.exit_code, found.stdout) == (2, "")
    assert "--free-ports cannot be used with a configuration" in found.stderr


@pytest.mark.parametrize("secret", ["", "short"])
def test_a_secret_that_cannot_serve_is_refused_like_any_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.chdir(tmp_path)
    found = command("demo", "--free-ports", GATEWAYD_JWT_SECRET=secret)
    assert (found.exit_code, found.stdout) == (1, "")
    assert found.stderr.startswith("demo.toml:7:10: auth.secret: ")
    assert found.stderr.endswith("1 problem\n")
    assert list(tmp_path.iterdir()) == []
