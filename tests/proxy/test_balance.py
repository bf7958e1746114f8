"""The addresses of an agent take turns, and one that is down costs nobody his request."""

from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gatewayd.errors import UpstreamConnect, UpstreamTimeout
from gatewayd.proxy.balance import Balance
from tests.agents import RawAgent, answering, raw_agent
from tests.gateways import running_gateway
from tests.proxy.test_misbehaving_agents import backlog_is_full, nobody_listens
from tests.proxy.upstreams import upstream_at
from tests.proxy.wire import call

ROUTE = """
[routes.email]
prefix = "/api/email"
upstream = [{upstreams}]
timeouts = {{ connect = "400ms" }}
"""


async def named(stack: AsyncExitStack, name: str) -> RawAgent:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(name), name.encode())
    return await stack.enter_async_context(raw_agent(answering(answer)))


@pytest.mark.parametrize(
    ("down", "expected"),
    [
        pytest.param(None, {"one": 4, "two": 4}, id="both are up"),
        pytest.param(nobody_listens, {"one": 3, "two": 6}, id="a third refuses"),
        pytest.param(backlog_is_full, {"one": 3, "two": 6}, id="a third does not accept"),
    ],
)
async def test_addresses_take_turns_past_one_that_is_down(
    down: object, expected: dict[str, int], tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        urls = [(await named(stack, "one")).url]
        if down is not None:
            urls.append(await stack.enter_async_context(down()))  # type: ignore[operator]
        urls.append((await named(stack, "two")).url)
        route = ROUTE.format(upstreams=", ".join(f'"{url}"' for url in urls))
        gateway = await stack.enter_async_context(running_gateway(tmp_path, routes=route))
        answers = [await call(gateway, "POST", body=b"hello") for _ in range(sum(expected.values()))]
        records = await gateway.records_when(len(answers))
    assert {heard.status for heard in answers} == {200}
    assert Counter(heard.body.decode() for heard in answers) == expected
    assert {record["outcome"] for record in records} == {"delivered"}


@pytest.mark.parametrize(("last", "error"), [(nobody_listens, UpstreamConnect), (backlog_is_full, UpstreamTimeout)])
async def test_when_all_are_down_the_last_one_says_why(last: object, error: type[Exception]) -> None:
    async with AsyncExitStack() as stack:
        upstreams = []
        for place in (nobody_listens, last):
            url = await stack.enter_async_context(place())  # type: ignore[operator]
            upstreams.append(await stack.enter_async_context(upstream_at(int(url.rpartition(":")[2]))))
        with pytest.raises(error):
            await Balance(upstreams).connect(0.05)
