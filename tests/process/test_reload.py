"""A reload is a transaction: all of it in every worker or nothing in any, and whoever is served notices neither."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import time
from itertools import pairwise
from pathlib import Path

import aiohttp
import pytest

from tests.agents import answering, raw_agent, talk
from tests.certificates import write_certificate
from tests.daemons import PATIENCE, RunningDaemon, Stream, environment, gatewayd, running_daemon
from tests.process.crews import eventually, is_running, numbers
from tests.process.reloads import bearer, email, refused, reload, reloaded, route, says, status_of

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"
TWO = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo"
PATH = "/api/email/process"
ANN = bearer()
KEPT = 3.0  # seconds; what is idle for 4 is not kept, however slow the machine makes a reload
BOTH = pytest.mark.parametrize("workers", [1, 2])


async def body_of(daemon: RunningDaemon, path: str) -> tuple[int, bytes]:
    async with aiohttp.ClientSession(daemon.url, headers=ANN) as session, session.get(path) as response:
        return response.status, await response.read()


async def bodies(daemon: RunningDaemon, path: str, count: int = 12) -> set[tuple[int, bytes]]:
    """What callers get, each on a connection of its own, so that every worker is asked."""
    return {await body_of(daemon, path) for _ in range(count)}


@BOTH
async def test_routes_come_change_and_go_and_the_command_says_which(tmp_path: Path, workers: int) -> None:
    server = f"workers = {workers}"
    async with raw_agent(answering(OK)) as one, raw_agent(answering(TWO)) as two:
        config = says(tmp_path, route("a", one.url), route("b", one.url), server=server)
        async with running_daemon(config) as daemon:
            assert await bodies(daemon, "/a/x") == {(200, b"one")}
            says(tmp_path, route("a", two.url), route("c", two.url), server=server)
            said = await reloaded(daemon)
            assert await bodies(daemon, "/a/x") == {(200, b"two")}
            assert await bodies(daemon, "/c/x") == {(200, b"two")}
            assert {found for found, _ in await bodies(daemon, "/b/x")} == {404}
            found = await status_of(daemon)
    assert said.splitlines()[1:] == [
        "added   routes.c",
        "removed routes.b",
        f'changed routes.a.upstream: ["{one.url}"] -> ["{two.url}"]',
    ]
    assert said.startswith("generation 2 is in force (")
    assert (found["generation"], found["routes"], found["state"]) == (2, ["a", "c"], "serving")
    assert [each["generation"] for each in found["workers"]] == [2] * workers


async def test_a_reload_of_the_same_file_says_that_nothing_has_changed(tmp_path: Path) -> None:
    async with running_daemon(says(tmp_path, email("http://127.0.0.1:9"))) as daemon:
        assert (await reloaded(daemon)).splitlines()[1:] == ["nothing has changed"]


@BOTH
async def test_streams_on_changed_and_removed_routes_end_as_they_began_and_are_told_of(
    tmp_path: Path, workers: int
) -> None:
    first, second = Stream(), Stream()
    server = f"workers = {workers}"
    async with raw_agent(first.script) as one, raw_agent(second.script) as two, raw_agent(answering(TWO)) as other:
        config = says(tmp_path, route("a", one.url), route("b", two.url), server=server)
        async with running_daemon(config) as daemon, daemon.session() as session:
            async with session.get("/a/x") as changed, session.get("/b/x") as removed:
                assert await changed.content.readany() == await removed.content.readany() == b"first"
                says(tmp_path, route("a", other.url), server=server)
                said = await reloaded(daemon)
                assert "2 still running on generation 1" in said.splitlines()
                assert (await status_of(daemon))["running_by_generation"] == {"1": 2}
                shown = await asyncio.to_thread(gatewayd, "status", "-c", config)
                assert "2 still running on generation 1" in shown.stdout.splitlines()
                assert await bodies(daemon, "/a/x") == {(200, b"two")}
                first.go_on.set()
                second.go_on.set()
                assert await changed.content.read() == await removed.content.read() == b"last"
            await eventually_status(daemon, "running_by_generation", {})


async def eventually_status(daemon: RunningDaemon, key: str, value: object) -> None:
    async with asyncio.timeout(PATIENCE):
        while (await status_of(daemon))[key] != value:
            await asyncio.sleep(0.01)


async def test_sighup_reloads_and_the_log_says_so(tmp_path: Path) -> None:
    async with raw_agent(answering(OK)) as agent, running_daemon(says(tmp_path, email(agent.url))) as daemon:
        says(tmp_path, email(agent.url), route("b", agent.url))
        daemon.signal(signal.SIGHUP)
        await daemon.said("generation 2 is in force")
        assert await body_of(daemon, "/b/x") == (200, b"one")


@BOTH
async def test_a_callers_connection_and_the_limits_counted_on_it_outlive_a_reload(tmp_path: Path, workers: int) -> None:
    limits = '[rate_limit]\nlimits = ["10/day"]\n[plans.free]\ndefault = true\nquota = { api_calls = 8 }\n'
    server = f"workers = {workers}"
    async with raw_agent(answering(OK)) as agent:
        config = says(tmp_path, email(agent.url), server=server, general=limits)
        async with running_daemon(config) as daemon, daemon.session() as session:
            left, answered = [], []
            for turn in range(5):
                async with session.get(PATH) as response:
                    left.append(re.findall(r"r=(\d+)", response.headers["RateLimit"])[0])
                    assert await response.read() == b"one"
                answered.append(time.monotonic())
                if turn == 1:
                    says(tmp_path, email(agent.url), route("b", agent.url), server=server, general=limits)
                    await reloaded(daemon)
            spent = await status_of(daemon)
        assert left == ["9", "8", "7", "6", "5"]
        assert spent["connections"] == 1, "the caller's connection was kept"
        idle = [after - before for before, after in pairwise(answered)]
        assert len(agent.received) <= 1 + sum(each > KEPT for each in idle), "and so was the one to the agent"


async def test_a_token_secret_and_plans_are_the_new_ones(tmp_path: Path) -> None:
    async with raw_agent(answering(OK)) as agent:
        secret = tmp_path / "secret"
        secret.write_text("the first secret, which is long enough for it")
        auth = f'secret = {{ file = "{secret}" }}'
        config = says(tmp_path, email(agent.url))
        config.write_text(config.read_text().replace('secret = { env = "SECRET" }', auth))
        async with running_daemon(config) as daemon:
            before = daemon.bearer()
            async with daemon.session() as session, session.get(PATH) as response:
                assert response.status == 200
            secret.write_text("another secret, which is long enough for it too")
            said = await reloaded(daemon)
            assert "changed auth.secret: (secret) -> (secret)" in said
            assert "another" not in said + daemon.log
            async with daemon.session() as session, session.get(PATH) as response:
                assert response.status == 200
            async with aiohttp.ClientSession(daemon.url) as session, session.get(PATH, headers=before) as response:
                assert response.status == 401
            config.write_text(config.read_text() + "[plans.none]\nquota = { api_calls = 1 }\n")
            assert "added   plans.none" in await reloaded(daemon)


async def test_limits_are_the_new_ones_and_a_half_used_one_is_half_used_still(tmp_path: Path) -> None:
    def limited(limit: int) -> str:
        return f'[rate_limit]\nlimits = ["{limit}/day"]\n[plans.free]\ndefault = true\n'

    async with raw_agent(answering(OK)) as agent:
        config = says(tmp_path, email(agent.url), general=limited(4))
        async with running_daemon(config) as daemon:
            assert [(await body_of(daemon, PATH))[0] for _ in range(2)] == [200, 200]
            says(tmp_path, email(agent.url), general=limited(8))
            await reloaded(daemon)
            assert [(await body_of(daemon, PATH))[0] for _ in range(5)] == [200, 200, 200, 200, 429]


# Where it listens, and with how many.


@BOTH
async def test_an_address_comes_and_another_goes_without_a_refused_connection(tmp_path: Path, workers: int) -> None:
    server = f"workers = {workers}"
    stream = Stream()
    async with raw_agent(stream.script) as agent:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            new = probe.getsockname()[1]
        config = says(tmp_path, email(agent.url), server=server)
        async with running_daemon(config) as daemon, daemon.session() as session, session.get(PATH) as response:
            assert await response.content.readany() == b"first"
            says(tmp_path, email(agent.url), server=server, listen=f'"127.0.0.1:0", "unix:{tmp_path}/a.sock"')
            await reloaded(daemon)
            connector = aiohttp.UnixConnector(f"{tmp_path}/a.sock")
            async with aiohttp.ClientSession(connector=connector) as other, other.get("http://a/health") as answer:
                assert answer.status == 200
            says(tmp_path, email(agent.url), server=server, listen=f"127.0.0.1:{new}")
            await reloaded(daemon)
            assert not (tmp_path / "a.sock").exists()
            for _ in range(8):
                assert b"200 OK" in await talk(new, b"GET /health HTTP/1.0\r\n\r\n")
            with pytest.raises(ConnectionRefusedError):
                await talk(daemon.port, b"GET /health HTTP/1.0\r\n\r\n")
            assert (await status_of(daemon))["listening"] == [f"http://127.0.0.1:{new}"]
            stream.go_on.set()
            assert await response.content.read() == b"last"


async def test_a_wildcard_takes_the_place_of_an_address_on_the_same_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    async with running_daemon(says(tmp_path, email("http://127.0.0.1:9"), listen=f"127.0.0.1:{port}")) as daemon:
        says(tmp_path, email("http://127.0.0.1:9"), listen=f"0.0.0.0:{port}")
        await reloaded(daemon)
        assert b"200 OK" in await talk(port, b"GET /health HTTP/1.0\r\n\r\n")
        assert (await status_of(daemon))["listening"] == [f"http://0.0.0.0:{port}"]


async def test_workers_come_and_go_and_streams_of_those_who_go_end_as_they_began(tmp_path: Path) -> None:
    stream = Stream()
    async with raw_agent(stream.script) as agent:
        config = says(tmp_path, email(agent.url))
        async with running_daemon(config) as daemon, contextlib.AsyncExitStack() as stack:
            says(tmp_path, email(agent.url), server="workers = 3")
            assert "changed server.workers: 1 -> 3" in await reloaded(daemon)
            streams = []
            for _ in range(24):
                session = await stack.enter_async_context(daemon.session())
                streams.append(await session.get(PATH))
                assert await streams[-1].content.readany() == b"first"
            before = (await status_of(daemon))["workers"]
            assert [each["name"] for each in before] == ["worker 1", "worker 2", "worker 3"]
            assert all(each["in_flight"] for each in before)
            says(tmp_path, email(agent.url), server="workers = 1")
            await reloaded(daemon)
            after = (await status_of(daemon))["workers"]
            assert [(each["name"], each["state"]) for each in after] == [
                ("worker", "serving"),
                ("worker 2", "retired"),
                ("worker 3", "retired"),
            ]
            for _ in range(12):  # on all three sockets, which one worker has now
                assert b"200 OK" in await talk(daemon.port, b"GET /health HTTP/1.0\r\n\r\n")
            stream.go_on.set()
            assert {await each.content.read() for each in streams} == {b"last"}
            await stack.aclose()
            await eventually(lambda: not any(is_running(each["pid"]) for each in before[1:]))
            found = await status_of(daemon)
            assert [each["name"] for each in found["children"]] == ["bookkeeper", "worker", "operators"]
            daemon.signal(signal.SIGTERM)
            assert await daemon.ended() == 0
    assert "Traceback" not in daemon.log
    assert "killed" not in daemon.log


async def test_retired_workers_are_drained_with_the_others(tmp_path: Path) -> None:
    stream = Stream()
    async with raw_agent(stream.script) as agent:
        config = says(tmp_path, email(agent.url), server="workers = 2")
        async with running_daemon(config) as daemon, contextlib.AsyncExitStack() as stack:
            streams = []
            for _ in range(12):
                session = await stack.enter_async_context(daemon.session())
                streams.append(await session.get(PATH))
                assert await streams[-1].content.readany() == b"first"
            says(tmp_path, email(agent.url))
            await reloaded(daemon)
            daemon.signal(signal.SIGTERM)
            await daemon.said("draining: 12 requests in flight")
            stream.go_on.set()
            assert {await each.content.read() for each in streams} == {b"last"}
            assert await daemon.ended() == 0


async def test_a_worker_that_dies_after_a_reload_comes_back_on_the_new_generation(tmp_path: Path) -> None:
    async with raw_agent(answering(OK)) as agent, running_daemon(says(tmp_path, email(agent.url))) as daemon:
        says(tmp_path, route("b", agent.url))
        await reloaded(daemon)
        pid = (await status_of(daemon))["workers"][0]["pid"]
        os.kill(pid, signal.SIGKILL)
        await daemon.said(f"worker (pid {pid}) was killed by SIGKILL")
        assert await body_of(daemon, "/b/x") == (200, b"one")
        assert (await status_of(daemon))["generation"] == 2


async def test_a_port_that_was_given_up_is_free_although_the_daemon_runs(tmp_path: Path) -> None:
    async with running_daemon(says(tmp_path, email("http://127.0.0.1:9"), server="workers = 2")) as daemon:
        says(tmp_path, email("http://127.0.0.1:9"), server="workers = 2", listen=f"unix:{tmp_path}/a.sock")
        await reloaded(daemon)
        socket.create_server(("127.0.0.1", daemon.port), reuse_port=False).close()


async def test_operators_move_too(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    config = says(tmp_path, email("http://127.0.0.1:9"))
    async with running_daemon(config) as daemon:
        before = (await status_of(daemon))["admin"]
        config.write_text(
            config.read_text().replace('[admin]\nlisten = "127.0.0.1:0"', f'[admin]\nlisten = "127.0.0.1:{port}"')
        )
        await reloaded(daemon)
        values = await numbers(f"http://127.0.0.1:{port}")
        assert (values["gatewayd_config_generation"], values["gatewayd_reload_success"]) == (2, 1)
        with pytest.raises(aiohttp.ClientConnectionError):
            await numbers(before)


# What is refused, and that nothing of it was done.


async def serves_as_before(daemon: RunningDaemon, generation: int = 1) -> None:
    assert await bodies(daemon, PATH) == {(200, b"one")}
    found = await status_of(daemon)
    assert (found["generation"], found["state"], found["running_by_generation"]) == (generation, "serving", {})
    assert (await numbers(found["admin"]))["gatewayd_reload_success"] == 0


async def refuses_by_signal(daemon: RunningDaemon, why: str) -> None:
    """The log says it, line by line; a command would not even know where the daemon is."""
    before = len(daemon.log)
    daemon.signal(signal.SIGHUP)
    async with asyncio.timeout(PATIENCE):
        while why not in daemon.log[before:].partition("reload refused")[2]:
            await asyncio.sleep(0.01)


@BOTH
async def test_a_broken_file_is_refused_with_its_places_and_the_old_one_serves(tmp_path: Path, workers: int) -> None:
    server = f"workers = {workers}"
    async with raw_agent(answering(OK)) as agent:
        config = says(tmp_path, email(agent.url), server=server)
        async with running_daemon(config) as daemon:
            config.write_text(config.read_text().replace("prefix =", "prefx =") + "[routes.b]\nprefix = 5\n")
            said = await refused(daemon)
            line = config.read_text().splitlines().index('prefx = "/api/email"') + 1
            assert f'{config}:{line}:1: routes.email.prefx: is not known (did you mean "prefix"?)' in said
            assert "routes.b.prefix" in said
            assert said.endswith("gatewayd: the configuration is refused; generation 1 still serves\n")
            await serves_as_before(daemon)
            config.write_text("[server")
            await refuses_by_signal(daemon, f"{config}:1:")
            config.write_bytes(b"\xff")
            await refuses_by_signal(daemon, "is not UTF-8")
            says(tmp_path, email(agent.url), server=server)
            assert (await reloaded(daemon)).startswith("generation 2 is in force")


@BOTH
@pytest.mark.parametrize("place", ["server", "admin"])
async def test_an_address_in_use_refuses_all_of_it(tmp_path: Path, workers: int, place: str) -> None:
    server = f"workers = {workers}"
    async with raw_agent(answering(OK)) as agent, raw_agent(answering(TWO)) as other:
        config = says(tmp_path, email(agent.url), server=server)
        async with running_daemon(config) as daemon:
            with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as probe:
                used, free = taken.getsockname()[1], probe.getsockname()[1]
                probe.close()
                if place == "server":
                    listen = f'"127.0.0.1:0", "127.0.0.1:{free}", "127.0.0.1:{used}"'
                    says(tmp_path, email(other.url), server="workers = 3", listen=listen)
                else:
                    text = says(tmp_path, email(other.url), server="workers = 3").read_text()
                    config.write_text(
                        text.replace('[admin]\nlisten = "127.0.0.1:0"', f'[admin]\nlisten = "127.0.0.1:{used}"')
                    )
                said = await refused(daemon)
            assert f"cannot listen on 127.0.0.1:{used}: the address is in use" in said
            socket.create_server(("127.0.0.1", free)).close()
            await serves_as_before(daemon)
            found = await status_of(daemon)
            assert len(found["workers"]) == workers


async def test_a_certificate_that_is_missing_or_does_not_fit_refuses_all_of_it(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    tls = f'tls = {{ certificate = "{certificate}", key = "{key}" }}'
    async with raw_agent(answering(OK)) as agent, running_daemon(says(tmp_path, email(agent.url))) as daemon:
        key.unlink()
        says(tmp_path, email("http://127.0.0.1:9"), server=tls)
        assert "server.tls.key" in await refused(daemon)
        key.write_text("nothing")
        assert "server.tls: is not a certificate with its key" in await refused(daemon)
        await serves_as_before(daemon)


async def test_counters_that_do_not_answer_refuse_all_of_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    async with raw_agent(answering(OK)) as agent, running_daemon(says(tmp_path, email(agent.url))) as daemon:
        says(tmp_path, email("http://127.0.0.1:9"), more=f'[counters]\nurl = "redis://127.0.0.1:{port}/0"\n')
        assert "counters.url: Redis does not answer" in await refused(daemon)
        await serves_as_before(daemon)


async def test_a_log_that_cannot_be_opened_refuses_all_of_it(tmp_path: Path) -> None:
    async with raw_agent(answering(OK)) as agent, raw_agent(answering(TWO)) as other:
        config = says(tmp_path, email(agent.url))
        async with running_daemon(config) as daemon:
            text = says(tmp_path, email(other.url)).read_text()
            config.write_text(text.replace("access.log", "nowhere/access.log"))
            assert "access_log.file: cannot open" in await refused(daemon)
            await serves_as_before(daemon)


@pytest.mark.parametrize(
    ("before", "after", "key"),
    [
        ("/ledger.db", "/another.db", "ledger.url"),
        ("[access_log]", 'durability = "disk"\n[access_log]', "ledger.durability"),
        ('state_dir = "', 'state_dir = "/nowhere', "server.state_dir"),
    ],
)
async def test_what_needs_a_restart_is_named_and_refuses_all_of_it(
    tmp_path: Path, before: str, after: str, key: str
) -> None:
    async with raw_agent(answering(OK)) as agent, raw_agent(answering(TWO)) as other:
        config = says(tmp_path, email(agent.url))
        async with running_daemon(config) as daemon:
            text = says(tmp_path, email(other.url)).read_text()
            (tmp_path / "new.toml").write_text(text.replace(before, after))
            found = await asyncio.to_thread(gatewayd, "plan", tmp_path / "new.toml", "-c", config)
            assert found.returncode == 1
            assert f"changed {key}: " in found.stdout
            assert f"a reload would be refused: {key} cannot change while the daemon runs" in found.stderr
            if key != "server.state_dir":  # where the command finds the daemon
                config.write_text(text.replace(before, after))
                assert f"{key} cannot change while the daemon runs: restart it" in await refused(daemon)
                await serves_as_before(daemon)


# One after the other.


async def test_reloads_that_come_together_are_done_one_after_the_other(tmp_path: Path) -> None:
    async with running_daemon(says(tmp_path, email("http://127.0.0.1:9"), server="workers = 2")) as daemon:
        daemon.signal(signal.SIGHUP)
        found = await asyncio.gather(*(reload(daemon) for _ in range(4)))
        assert [each.returncode for each in found] == [0] * 4
        generations = {int(each.stdout.split()[1]) for each in found}
        assert len(generations) == 4
        assert (await status_of(daemon))["generation"] == max(generations)


async def test_while_it_drains_a_reload_is_refused_and_says_so(tmp_path: Path) -> None:
    stream = Stream()
    async with raw_agent(stream.script) as agent, running_daemon(says(tmp_path, email(agent.url))) as daemon:
        async with daemon.session() as session, session.get(PATH) as response:
            assert await response.content.readany() == b"first"
            daemon.signal(signal.SIGTERM)
            await daemon.said("draining")
            daemon.signal(signal.SIGHUP)
            assert "the daemon is stopping; generation 1 still serves" in await refused(daemon)
            stream.go_on.set()
            assert await response.content.read() == b"last"
        assert await daemon.ended() == 0


async def test_the_service_manager_hears_of_a_reload(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"{tmp_path}/notify")
        manager.settimeout(PATIENCE)
        config = says(tmp_path, email("http://127.0.0.1:9"))
        async with running_daemon(config, environ=environment(NOTIFY_SOCKET=f"{tmp_path}/notify")) as daemon:
            assert manager.recv(1000).startswith(b"READY=1\n")
            for text in (config.read_text(), "[server"):
                config.write_text(text)
                daemon.signal(signal.SIGHUP)
                words = (await asyncio.to_thread(manager.recv, 1000)).decode().splitlines()
                assert words[0] == "RELOADING=1"
                assert re.fullmatch(r"MONOTONIC_USEC=\d+", words[1])
                assert manager.recv(1000).startswith(b"READY=1\nSTATUS=serving on http://127.0.0.1:")


async def test_the_watchdog_is_fed_while_every_worker_answers_and_not_when_one_hangs(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"{tmp_path}/notify")
        manager.setblocking(False)
        loop = asyncio.get_running_loop()
        environ = environment(NOTIFY_SOCKET=f"{tmp_path}/notify", WATCHDOG_USEC="100000")
        config = says(tmp_path, email("http://127.0.0.1:9"), server="workers = 2")
        async with running_daemon(config, environ=environ) as daemon, asyncio.timeout(PATIENCE):
            fed = 0
            while fed < 3:
                fed += b"WATCHDOG=1" in await loop.sock_recv(manager, 1000)
            pid = (await status_of(daemon))["workers"][1]["pid"]
            os.kill(pid, signal.SIGSTOP)
            hungry = False
            while not hungry:  # what was on its way still comes
                try:
                    async with asyncio.timeout(1):
                        await loop.sock_recv(manager, 1000)
                except TimeoutError:
                    hungry = True
            with contextlib.suppress(ProcessLookupError):  # who hangs for long is replaced
                os.kill(pid, signal.SIGCONT)
            while b"WATCHDOG=1" not in await loop.sock_recv(manager, 1000):
                pass
