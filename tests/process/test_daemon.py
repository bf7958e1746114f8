"""Whole processes: how they start, what they refuse, how they end."""

import asyncio
import gc
import os
import re
import signal
import socket
import sqlite3
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gatewayd.clock import SystemClock
from gatewayd.config.loading import load
from gatewayd.process.daemon import Daemon
from tests.agents import answering, raw_agent, talk
from tests.certificates import write_certificate
from tests.daemons import COMMAND, Stream, command, daemon_here, environment, gatewayd, running_daemon, write_config
from tests.gateways import SECRET, running_gateway
from tests.patience import PATIENCE

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
PATH = "/api/email/process"


def records(config: Path) -> list[tuple[str, int]]:
    """Outcome and quantity of every record in the ledger beside the configuration."""
    with sqlite3.connect(config.parent / "ledger.db") as connection:
        rows = connection.execute("SELECT outcome, quantity FROM usage_records ORDER BY rowid").fetchall()
    connection.close()
    return rows


async def test_one_ready_line_comes_when_connections_are_accepted(tmp_path: Path) -> None:
    async with raw_agent(answering(OK)) as agent, running_daemon(write_config(tmp_path, agent.url)) as daemon:
        async with daemon.session() as session, session.post(PATH, data=b"hello") as response:
            assert (response.status, await response.read()) == (200, b"{}")
        daemon.signal(signal.SIGTERM)
        assert await daemon.ended() == 0
        assert daemon.process.stdout is not None
        assert await daemon.process.stdout.read() == b""
    assert daemon.ready == f"gatewayd 0.1.0 ready on {daemon.url} (pid {daemon.process.pid})\n"
    assert records(daemon.config) == [("delivered", 1)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_drain_lets_a_stream_finish_and_tells_load_balancers(tmp_path: Path, number: signal.Signals) -> None:
    stream = Stream()
    async with raw_agent(stream.script) as agent, running_daemon(write_config(tmp_path, agent.url)) as daemon:
        async with daemon.session() as session, session.get(PATH) as response:
            assert await response.content.readany() == b"first"
            daemon.signal(number)
            await daemon.said("draining: 1 requests in flight")
            async with session.get("/health") as health:
                assert (health.status, await health.json()) == (503, {"status": "draining"})
            async with session.get(PATH) as refused:
                assert (refused.status, (await refused.json())["code"]) == (503, "draining")
                assert int(refused.headers["Retry-After"]) > 0
            stream.go_on.set()
            assert await response.content.read() == b"last"
        assert await daemon.ended() == 0
    assert records(daemon.config) == [("delivered", 1)]
    assert "Traceback" not in daemon.log


async def test_a_second_signal_ends_at_once_and_the_answer_is_visibly_cut(tmp_path: Path) -> None:
    async with raw_agent(Stream().script) as agent, running_daemon(write_config(tmp_path, agent.url)) as daemon:
        async with daemon.session() as session, session.get(PATH) as response:
            assert await response.content.readany() == b"first"
            daemon.signal(signal.SIGTERM)
            await daemon.said("draining")
            daemon.signal(signal.SIGINT)
            with pytest.raises(aiohttp.ClientError):
                await response.content.read()
        assert await daemon.ended() == 0
    assert records(daemon.config) == [("failed", 0)]
    assert "Traceback" not in daemon.log


async def test_the_drain_timeout_cuts_off_what_does_not_end(tmp_path: Path) -> None:
    async with raw_agent(Stream().script) as agent:
        config = write_config(tmp_path, agent.url)
        config.write_text(config.read_text().replace('drain_timeout = "30s"', 'drain_timeout = "100ms"'))
        async with running_daemon(config) as daemon:
            async with daemon.session() as session, session.get(PATH) as response:
                assert await response.content.readany() == b"first"
                daemon.signal(signal.SIGTERM)
                with pytest.raises(aiohttp.ClientError):
                    await response.content.read()
            assert await daemon.ended() == 0
    assert records(config) == [("failed", 0)]
    assert "cutting off 1 requests in flight" in daemon.log


async def test_callers_who_are_idle_or_send_what_nobody_reads_do_not_hold_up_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatewayd.process.worker._HANG_UP_PATIENCE", 0.05)
    async with daemon_here(write_config(tmp_path)) as daemon:
        port = int(daemon.urls[0].rpartition(":")[2])
        idle, refused, half = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        idle[1].write(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        refused[1].write(b"POST /api/email/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc")
        half[1].write(b"GET /health HTTP/1.1\r\nHo")
        await idle[0].readuntil(b"}")
        assert b"401" in await refused[0].readuntil(b"\r\n\r\n")
        started = asyncio.get_running_loop().time()
        daemon.stop()
    assert asyncio.get_running_loop().time() - started < 2
    for _, writer in (idle, refused, half):
        writer.close()


async def test_a_second_signal_hangs_up_on_those_too(tmp_path: Path) -> None:
    async with daemon_here(write_config(tmp_path)) as daemon:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(daemon.urls[0].rpartition(":")[2]))
        writer.write(b"POST /api/email/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc")
        assert b"401" in await reader.readuntil(b"\r\n\r\n")
        started = asyncio.get_running_loop().time()
        daemon.stop()
        daemon.stop()
    assert asyncio.get_running_loop().time() - started < 0.9
    writer.close()


async def test_told_to_stop_before_it_serves_it_never_says_ready(tmp_path: Path) -> None:
    settings = load(write_config(tmp_path), {"SECRET": SECRET}).settings
    daemon = Daemon(settings, SystemClock(), {})
    daemon.stop()
    said: list[str] = []
    await daemon.run(said.append)
    assert said == []


async def test_a_daemon_whose_output_nobody_reads_serves_all_the_same(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    config = write_config(tmp_path, listen=f"unix:{tmp_path}/public.sock")
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "start", "-c", str(config), stdout=writing, stderr=asyncio.subprocess.PIPE, env=environment()
    )
    os.close(writing)
    status = await asyncio.to_thread(wait_until_serving, config)
    process.terminate()
    _, stderr = await process.communicate()
    assert '"serving"' in status
    assert process.returncode == 0
    assert b"Traceback" not in stderr
    assert b"BrokenPipe" not in stderr


def wait_until_serving(config: Path) -> str:
    for _ in range(40):
        if '"serving"' in (answer := gatewayd("status", "--json", "-c", config).stdout):
            return answer
    return answer


# What cannot start: one line that says what and how to mend it, exit 1, and nothing of it runs.


def port_in_use(tmp_path: Path) -> tuple[Path, str]:
    sock = socket.create_server(("127.0.0.1", 0))
    TAKEN.append(sock)
    address = f"127.0.0.1:{sock.getsockname()[1]}"
    return write_config(tmp_path, listen=address), f"cannot listen on {address}: the address is in use"


def not_our_address(tmp_path: Path) -> tuple[Path, str]:
    return write_config(tmp_path, listen="192.0.2.1:8080"), "cannot listen on 192.0.2.1:8080: "


def file_for_state_dir(tmp_path: Path) -> tuple[Path, str]:
    (tmp_path / "state").touch()
    return write_config(tmp_path, state=tmp_path / "state"), f"{tmp_path}/state: it is not a directory"


def file_above_state_dir(tmp_path: Path) -> tuple[Path, str]:
    (tmp_path / "state").touch()
    return write_config(tmp_path, state=tmp_path / "state" / "deeper"), "state/deeper: it is not a directory"


def long_state_dir(tmp_path: Path) -> tuple[Path, str]:
    return write_config(tmp_path, state=tmp_path / ("x" * 120)), "server.state_dir is too long"


def file_for_control_socket(tmp_path: Path) -> tuple[Path, str]:
    (tmp_path / "control.sock").write_text("mine")
    return write_config(tmp_path), "control.sock: the file exists and is not a socket"


def damaged_ledger(tmp_path: Path) -> tuple[Path, str]:
    (tmp_path / "ledger.db").write_bytes(b"not a database" * 1000)
    return write_config(tmp_path), "ledger.db is not a SQLite database"


def foreign_ledger(tmp_path: Path) -> tuple[Path, str]:
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        connection.execute("CREATE TABLE things (name TEXT)")
    connection.close()
    return write_config(tmp_path), "ledger.db belongs to another program"


def log_in_a_directory(tmp_path: Path) -> tuple[Path, str]:
    (tmp_path / "access.log").mkdir()
    return write_config(tmp_path), "access_log.file: cannot open"


def no_passed_socket(tmp_path: Path) -> tuple[Path, str]:
    return write_config(tmp_path, listen="systemd:public"), "systemd:public: no sockets were passed"


TAKEN: list[socket.socket] = []


@pytest.mark.parametrize(
    "spoil",
    [
        port_in_use,
        not_our_address,
        file_for_state_dir,
        file_above_state_dir,
        long_state_dir,
        file_for_control_socket,
        damaged_ledger,
        foreign_ledger,
        log_in_a_directory,
        no_passed_socket,
    ],
)
def test_what_cannot_start_says_so_in_one_line(tmp_path: Path, spoil: Callable[[Path], tuple[Path, str]]) -> None:
    config, reason = spoil(tmp_path)
    found = command("start", "-c", config)
    while TAKEN:
        TAKEN.pop().close()
    assert (found.exit_code, found.stdout, found.stderr.count("\n")) == (1, "", 1)
    assert found.stderr.startswith("gatewayd: ")
    assert reason in found.stderr
    assert not (tmp_path / "control.sock").is_socket()


def test_a_broken_configuration_is_refused_with_all_its_problems(tmp_path: Path) -> None:
    config = write_config(tmp_path, server='max_body = "much"\nworker = 2')
    found = gatewayd("start", "-c", config, environ=environment(SECRET="too short"))
    assert (found.returncode, found.stdout) == (1, "")
    *lines, count = found.stderr.splitlines()
    assert [line.split(": ")[1] for line in lines] == ["server.max_body", "server.worker", "auth.secret"]
    assert count == "3 problems"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gatewayd.toml"]


async def test_a_second_daemon_on_the_same_state_dir_or_ledger_is_refused(tmp_path: Path) -> None:
    config = write_config(tmp_path / "one")
    other = write_config(tmp_path / "two")
    other.write_text(other.read_text().replace(f"{tmp_path}/two/ledger.db", f"{tmp_path}/one/ledger.db"))
    async with running_daemon(config) as daemon:
        same_directory, same_ledger = await asyncio.gather(
            asyncio.to_thread(gatewayd, "start", "-c", config), asyncio.to_thread(gatewayd, "start", "-c", other)
        )
        async with daemon.session() as session, session.get("/health") as response:
            assert response.status == 200
        status = await asyncio.to_thread(gatewayd, "status", "-c", config)
    pid = daemon.process.pid
    assert (same_directory.returncode, same_ledger.returncode, status.returncode) == (1, 1, 0)
    assert f"gatewayd: another gatewayd (process {pid}) runs in {tmp_path}/one: " in same_directory.stderr
    assert re.search(r"ledger\.db is in use by another gatewayd \(process \d+\)", same_ledger.stderr)
    assert "Traceback" not in same_directory.stderr + same_ledger.stderr


async def test_a_daemon_that_has_ended_has_given_its_shared_memory_back(tmp_path: Path) -> None:
    def shared_tables() -> int:
        places = map(os.path.realpath, Path("/proc/self/fd").iterdir())
        return sum("gatewayd-counters" in place for place in places)

    gc.collect()  # what tests before this one dropped
    before = shared_tables()
    async with running_gateway(tmp_path, "http://127.0.0.1:9"):
        assert shared_tables() == before + 2  # the file and its mapping
    assert shared_tables() == before


async def test_what_a_killed_daemon_left_behind_does_not_stop_the_next(tmp_path: Path) -> None:
    config = write_config(tmp_path, listen=f"unix:{tmp_path}/public.sock")
    async with running_daemon(config) as daemon:
        daemon.signal(signal.SIGKILL)
        assert await daemon.ended() == -9
    assert (tmp_path / "control.sock").is_socket()
    assert (tmp_path / "public.sock").is_socket()
    async with running_daemon(config) as daemon:
        daemon.signal(signal.SIGTERM)
        assert await daemon.ended() == 0
    assert not (tmp_path / "control.sock").exists()
    assert not (tmp_path / "public.sock").exists()


# Where it listens.


async def health(url: str, **options: Any) -> int:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/health", **options) as response:
        return response.status


async def test_it_serves_on_a_unix_socket_that_every_local_user_may_use(tmp_path: Path) -> None:
    async with daemon_here(write_config(tmp_path, listen=f"unix:{tmp_path}/public.sock")) as daemon:
        assert daemon.urls == (f"unix:{tmp_path}/public.sock",)
        assert (tmp_path / "public.sock").stat().st_mode & 0o777 == 0o666
        connector = aiohttp.UnixConnector(f"{tmp_path}/public.sock")
        async with aiohttp.ClientSession(connector=connector) as session, session.get("http://a/health") as response:
            assert response.status == 200


async def test_it_serves_on_an_ipv6_address(tmp_path: Path) -> None:
    async with daemon_here(write_config(tmp_path, listen="[::1]:0")) as daemon:
        assert daemon.urls[0].startswith("http://[::1]:")
        assert await health(daemon.urls[0]) == 200


async def test_it_serves_tls_and_nothing_else_there(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    tls = f'tls = {{ certificate = "{certificate}", key = "{key}" }}'
    async with daemon_here(write_config(tmp_path, server=tls)) as daemon:
        url = daemon.urls[0]
        assert url.startswith("https://127.0.0.1:")
        trust = ssl.create_default_context(cafile=certificate)
        assert await health(url, ssl=trust) == 200
        port = int(url.rpartition(":")[2])
        assert await talk(port, b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n") == b""
        assert await health(url, ssl=trust) == 200


# exec keeps the process id, which is how systemd tells for whom its sockets are.
PASS_SOCKET = """
import os, sys
fds, names, *command = sys.argv[1:]
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(fds.split(","))), "LISTEN_FDNAMES": names}
for target, fd in enumerate(fds.split(","), 3):
    os.dup2(int(fd), target)
os.execv(command[0], command)
"""


async def test_it_serves_on_every_socket_that_systemd_passed_by_the_name(tmp_path: Path) -> None:
    passed = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    ports = [sock.getsockname()[1] for sock in passed]
    high = [os.dup2(sock.fileno(), 100 + index) for index, sock in enumerate(passed)]
    wrapper = (sys.executable, "-c", PASS_SOCKET, ",".join(map(str, high)), "public:admin:public")
    config = write_config(tmp_path, listen="systemd:public")
    log = (tmp_path / "stderr").open("w")
    process = await asyncio.create_subprocess_exec(
        *wrapper,
        *COMMAND,
        *("start", "-c", str(config)),
        stdout=asyncio.subprocess.PIPE,
        stderr=log,
        env=environment(),
        pass_fds=high,
    )
    for fd in high:
        os.close(fd)
    try:
        assert process.stdout is not None
        ready = (await process.stdout.readline()).decode()
        assert f"http://127.0.0.1:{ports[0]}, http://127.0.0.1:{ports[2]} (pid " in ready, Path(log.name).read_text()
        for port in (ports[0], ports[2]):
            assert b"200 OK" in await talk(port, b"GET /health HTTP/1.0\r\n\r\n")
    finally:
        process.terminate()
        assert await process.wait() == 0
        log.close()
    passed[0].settimeout(PATIENCE)  # it is still systemd's: a caller who comes now waits for the next start
    with socket.create_connection(("127.0.0.1", ports[0])):
        passed[0].accept()[0].close()
    for sock in passed:
        sock.close()


async def test_the_service_manager_hears_when_it_is_ready_and_when_it_stops(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"{tmp_path}/notify")
        manager.settimeout(PATIENCE)
        environ = environment(NOTIFY_SOCKET=f"{tmp_path}/notify")
        async with running_daemon(write_config(tmp_path), environ=environ) as daemon:
            assert manager.recv(4096).decode() == f"READY=1\nSTATUS=serving on {daemon.url}"
            daemon.signal(signal.SIGTERM)
            assert (await asyncio.to_thread(manager.recv, 4096)).startswith(b"STOPPING=1")
            assert await daemon.ended() == 0


async def test_without_an_access_log_it_serves_and_writes_none(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    config.write_text(config.read_text().replace(f'file = "{tmp_path}/access.log"', 'file = ""'))
    async with daemon_here(config) as daemon:
        assert await health(daemon.urls[0]) == 200
    assert not (tmp_path / "access.log").exists()
