"""What is in force and what it stands on: opened once, closed in reverse, pinned by each request."""

import asyncio
import gc
from contextlib import AsyncExitStack
from pathlib import Path

from gatewayd.config.loading import parse
from gatewayd.config.settings import Settings
from gatewayd.endpoints import Endpoint
from gatewayd.generation import Generation
from gatewayd.lifecycle import Pool, build, open_pool, route_table
from gatewayd.policies.auth import AuthRule
from gatewayd.policies.quota import UsageRule
from gatewayd.policies.rate_limit import RateLimitRule
from gatewayd.proxy.rule import Forwarding
from gatewayd.stores.shared.memory import SharedMemory
from tests.books.offices import Office
from tests.clocks import ManualClock
from tests.gateways import SECRET

TEXT = """
[server]
state_dir = "{state}"
[auth]
secret = {{ env = "SECRET" }}
[ledger]
url = "sqlite:{state}/ledger.db"
[plans.free]
default = true
[routes.email]
prefix = "/api/email"
upstream = ["http://127.0.0.1:9/a", "http://127.0.0.1:9/b"]
roles = ["ops"]
[routes.rag]
prefix = "/api/rag"
upstream = "http://127.0.0.1:9/a"
"""


def settings_in(state: Path) -> Settings:
    return parse(TEXT.format(state=state), "test.toml", {"SECRET": SECRET}).settings


async def opened_pool(settings: Settings, clock: ManualClock, stack: AsyncExitStack) -> Pool:
    """A pool with what a supervisor gives its workers."""
    memory = SharedMemory.create()
    stack.callback(memory.close)
    office = Office(settings, clock)
    await office.open()
    stack.push_async_callback(office.close)
    return await open_pool(settings, clock, stack, books=office.path, counters=memory)


async def test_a_generation_is_built_from_settings_on_what_is_open(tmp_path: Path, clock: ManualClock) -> None:
    settings = settings_in(tmp_path)
    async with AsyncExitStack() as stack:
        pool = await opened_pool(settings, clock, stack)
        generation = build(7, settings, pool, clock)
        assert (generation.number, generation.plan_for("nobody", None)) == (7, settings.plans["free"])
        assert generation.stores.accounts.loaded
        email = generation.routes.match("/api/email/x")
        rules = {RateLimitRule, UsageRule, AuthRule, Forwarding}
        assert (email.name, set(email.rules)) == ("email", rules)
        assert email.rule(AuthRule) == AuthRule(public=False, roles=frozenset({"ops"}))
        assert set(generation.routes.unknown.rules) == {RateLimitRule, AuthRule}
        assert set(generation.routes.match("/health").rules) == {Endpoint, AuthRule}


async def test_an_address_has_one_pool_whichever_routes_and_generations_use_it(
    tmp_path: Path, clock: ManualClock
) -> None:
    settings = settings_in(tmp_path)
    async with AsyncExitStack() as stack:
        pool = await opened_pool(settings, clock, stack)
        tables = [route_table(settings, pool), route_table(settings, pool)]
        used = [
            upstream
            for table in tables
            for route in table.routes
            if (rule := route.rule(Forwarding)) is not None
            for upstream in rule.balance.upstreams
        ]
        assert (len(used), len({id(upstream) for upstream in used}), len(pool.upstreams)) == (6, 2, 2)


async def test_what_was_opened_is_closed_at_the_end(tmp_path: Path, clock: ManualClock) -> None:
    async with AsyncExitStack() as stack:
        session = (await opened_pool(settings_in(tmp_path), clock, stack)).session
        was_open = not session.closed
    assert (was_open, session.closed) == (True, True)
    assert not [task for task in asyncio.all_tasks() if task.get_name() in ("directory", "line to the bookkeeper")]


async def test_what_no_generation_needs_any_more_is_gone_and_what_one_needs_stays(
    tmp_path: Path, clock: ManualClock
) -> None:
    settings = settings_in(tmp_path)
    other = parse(
        TEXT.format(state=tmp_path).replace("/b", "/c") + '[counters]\non_outage = "deny"\n',
        "t.toml",
        {"SECRET": SECRET},
    ).settings
    async with AsyncExitStack() as stack:
        pool = await opened_pool(settings, clock, stack)
        first = build(1, settings, pool, clock)
        upstreams, counters = set(pool.upstreams), first.stores.counters
        for number in range(2, 12):
            again = build(number, settings, pool, clock, first)
            assert again.verifier is first.verifier
            assert again.stores is first.stores
        second = build(12, other, pool, clock, again)
        assert second.verifier is first.verifier, "the keys are the same"
        assert second.stores.counters is not counters
        assert len(pool.upstreams) == 3
        del first, again, counters
        await asyncio.sleep(0)
        gc.collect()
        assert len(pool.upstreams) == 2
        assert set(pool.upstreams) != upstreams
        alive = [
            each for each in gc.get_objects() if isinstance(each, Generation) and each.settings in (settings, other)
        ]
        assert alive == [second]
