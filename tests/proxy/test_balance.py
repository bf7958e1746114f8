"""The addresses of an agent take turns, and one that is down costs nobody his request."""

from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gatewayd.errors import UpstreamConnect, UpstreamTimeout
from gatewayd.proxy.balance import Balance
from gatewayd.proxy.rule import Forwarding
from tests.agents import RawAgent, answering, raw_agent
from tests.gateways import RunningGateway, running_gateway
from tests.proxy.test_misbehaving_agents import backlog_is_full, nobody_listens
from tests.proxy.upstreams import upstream_at
from tests.proxy.wire import call
from tests.standins import current

ROUTE = """
[routes.email]
prefix = "/api/email"
upstream = [{upstreams}]
timeouts = {{ connect = "{patience}" }}
"""


async def warmed(gateway: RunningGateway) -> None:
    """Connections to all that are up are in the pool: only the one that is down is left to be too late."""
    for route in current(gateway).routes.routes:
        rule = route.rule(Forwarding)
        assert rule is not None
        first, *_, last = rule.balance.upstreams
        for upstream in {first, last}:
            (await upstream.connect(30)).release()


async def named(stack: AsyncExitStack, name: str) -> RawAgent:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(name), name.encode())
    return await stack.enter_async_context(raw_agent(answering(answer)))


@pytest.mark.parametrize(
    ("down", "patience", "expected"),
    [
        pytest.param(None, "30s", {"one": 4, "two": 4}, id="both are up"),
        pytest.param(nobody_listens, "30s", {"one": 3, "two": 6}, id="a third refuses"),
        pytest.param(backlog_is_full, "50ms", {"one": 3, "two": 6}, id="a third does not accept"),
    ],
)
async def test_addresses_take_turns_past_one_that_is_down(
    down: object, patience: str, expected: dict[str, int], tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        urls = [(await named(stack, "one")).url]
        if down is not None:
            urls.append(await stack.enter_async_context(down()))  # type: ignore[operator]
        urls.append((await named(stack, "two")).url)
        route = ROUTE.format(upstreams=", ".join(f'"{url}"' for url in urls), patience=patience)
        gateway = await stack.enter_async_context(running_gateway(tmp_path, routes=route))
        await warmed(gateway)
        answers = [await call(gateway, "POST", body=b"hello") for _ in range(sum(expected.values()))]
        records = await gateway.records_when(len(answers))
    assert {heard.status for heard in answers} == {200}
    assert Counter(heard.body.decode() for heard in answers) == expected
    assert {record["outcome"] for record in records} == {"delivered"}


@pytest.mark.parametrize(
    ("last", "patience", "error"), [(nobody_listens, 30, UpstreamConnect), (backlog_is_full, 0.05, UpstreamTimeout)]
)
async def test_when_all_are_down_the_last_one_says_why(last: object, patience: float, error: type[Exception]) -> None:
    async with AsyncExitStack() as stack:
        upstreams = []
        for place in (nobody_listens, last):
            url = await stack.enter_async_context(place())  # type: ignore[operator]
            upstreams.append(await stack.enter_async_context(upstream_at(int(url.rpartition(":")[2]))))
        with pytest.raises(error):
            await Balance(upstreams).connect(patience)
