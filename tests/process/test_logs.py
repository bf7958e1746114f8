"""A worker's logs: what is written where, what sampling may leave out, and that no log ever hurts a caller."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from gatewayd.config.settings import Settings
from gatewayd.errors import StartError
from gatewayd.model import Outcome
from gatewayd.policies import access_log, auth, faults
from gatewayd.process.logs import Logs
from tests.clocks import ManualClock
from tests.patience import PATIENCE
from tests.policies.rings import EMAIL, Ring, settings_of
from tests.problems import ask

POLICIES = (access_log.POLICY, faults.POLICY, auth.POLICY)


def configured(path: Path, *, access: str = "access.log", audit: str = "audit.log", sample: int = 1) -> str:
    """An empty name is no log."""
    access, audit = (str(path / name) if name else "" for name in (access, audit))
    return f"[access_log]\nfile = '{access}'\nsample = {sample}\n[audit_log]\nfile = '{audit}'\n{EMAIL}"


@asynccontextmanager
async def logging_to(settings: Settings, clock: ManualClock) -> AsyncIterator[Logs]:
    async with AsyncExitStack() as stack:
        logs = Logs(clock)
        await logs.open(settings, stack)
        yield logs


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_every_request_is_in_the_access_log_and_refusals_are_in_the_audit_log_too(
    aiohttp_client: AiohttpClient, clock: ManualClock, tmp_path: Path
) -> None:
    ring = Ring(configured(tmp_path), clock, *POLICIES)
    client = await aiohttp_client(ring.app)
    async with logging_to(ring.settings, clock) as logs:
        await ask(client, "/api/email/x", ring.bearer())
        await ask(client, "/api/email/x")
        for exchange in ring.reported:
            logs.report(exchange)
    assert [line["status"] for line in read(tmp_path / "access.log")] == [200, 401]
    assert [line["code"] for line in read(tmp_path / "audit.log")] == ["token_missing"]


async def test_sampling_leaves_out_no_error_and_no_refusal(
    aiohttp_client: AiohttpClient, clock: ManualClock, tmp_path: Path
) -> None:
    ring = Ring(configured(tmp_path, sample=10), clock, *POLICIES)
    client = await aiohttp_client(ring.app)
    await ask(client, "/api/email/x", ring.bearer())
    [exchange] = ring.reported
    troubles: list[dict[str, Any]] = [
        {"status": 404},
        {"status": 500},
        {"code": "upstream_reset"},
        {"outcome": Outcome.FAILED},
        {"outcome": Outcome.CLIENT_CLOSED},
        {"misstated": True},
    ]
    async with logging_to(ring.settings, clock) as logs:
        for number in range(1000):
            exchange.request_id = f"{number:032x}"
            logs.report(exchange)
        for trouble in troubles:
            exchange.request_id = f"{1:032x}"  # not a sample
            before = {name: getattr(exchange, name) for name in trouble}
            for name, value in trouble.items():
                setattr(exchange, name, value)
            logs.report(exchange)
            for name, value in before.items():
                setattr(exchange, name, value)
    assert len(read(tmp_path / "access.log")) == 100 + len(troubles)


async def test_logs_that_were_rotated_go_on_under_their_names(clock: ManualClock, tmp_path: Path) -> None:
    async with logging_to(settings_of(configured(tmp_path)), clock) as logs:
        (tmp_path / "access.log").rename(tmp_path / "access.log.1")
        logs.reopen()
        async with asyncio.timeout(PATIENCE):
            while not (tmp_path / "access.log").exists():
                await asyncio.sleep(0.001)


async def test_a_reload_may_name_other_places_and_none_that_cannot_be_opened(
    aiohttp_client: AiohttpClient, clock: ManualClock, tmp_path: Path
) -> None:
    ring = Ring(configured(tmp_path), clock, *POLICIES)
    client = await aiohttp_client(ring.app)
    await ask(client, "/api/email/x")
    [exchange] = ring.reported
    async with logging_to(ring.settings, clock) as logs:
        with pytest.raises(StartError, match=r"access_log.file: cannot open .*: No such file or directory"):
            await logs.adopt(settings_of(configured(tmp_path, access="missing/x.log", audit="other.log")))
        logs.report(exchange)
        await logs.adopt(settings_of(configured(tmp_path, access="second.log", audit="")))
        logs.report(exchange)
    assert len(read(tmp_path / "access.log")) == len(read(tmp_path / "second.log")) == 1
    assert len(read(tmp_path / "audit.log")) == 1


async def test_a_full_disk_loses_lines_which_are_counted_and_nothing_else(
    aiohttp_client: AiohttpClient, clock: ManualClock
) -> None:
    ring = Ring(configured(Path("/dev"), access="full", audit="full"), clock, *POLICIES)
    client = await aiohttp_client(ring.app)
    async with logging_to(ring.settings, clock) as logs:
        await ask(client, "/api/email/x")
        for _ in range(20):
            logs.report(ring.reported[0])
    assert logs.dropped() == [
        [["access", "failed"], 20],
        [["access", "full"], 0],
        [["audit", "failed"], 20],
        [["audit", "full"], 0],
    ]
