"""An agent's address: what is asked of it, and that it is there."""

import asyncio
import socket
from itertools import chain, permutations

import pytest

from gatewayd.errors import UpstreamConnect
from gatewayd.framing import Target
from gatewayd.proxy.connector import AgentConnector
from gatewayd.proxy.upstream import Upstream
from gatewayd.routing import LONGEST_KEPT
from tests.agents import answering, raw_agent
from tests.proxy.upstreams import upstream_at
from tests.proxy.wire import OK


@pytest.mark.parametrize(
    ("url", "suffix", "query", "target"),
    [
        ("http://agent:8081", "", "", b"/"),
        ("http://agent:8081", "", "?a=1", b"/?a=1"),
        ("http://agent:8081", "/x", "", b"/x"),
        ("http://agent:8081/", "/x", "", b"/x"),
        ("http://agent:8081/base", "", "", b"/base"),
        ("http://agent:8081/base/", "/", "", b"/base/"),
        ("http://agent:8081/b%20se", "/%7Ex", "?%zz", b"/b%20se/%7Ex?%zz"),
    ],
)
async def test_a_target_is_the_base_path_and_what_followed_the_prefix(
    url: str, suffix: str, query: str, target: bytes
) -> None:
    connector = AgentConnector(keepalive_timeout=15.0)
    async with connector:
        assert Upstream(url, connector, asyncio.get_running_loop()).way.target(suffix, query) == target


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("http://agent:8081/x", b"agent:8081"),
        ("http://agent/x", b"agent"),
        ("https://agent:443/x", b"agent:443"),
        ("http://[::1]:8081", b"[::1]:8081"),
    ],
)
async def test_an_agent_is_addressed_as_it_was_configured(url: str, authority: bytes) -> None:
    connector = AgentConnector(keepalive_timeout=15.0)
    async with connector:
        assert Upstream(url, connector, asyncio.get_running_loop()).way.authority == authority


async def test_a_head_begins_with_what_is_asked_now_whatever_was_asked_before() -> None:
    connector = AgentConnector(keepalive_timeout=15.0)
    asked = [
        ("GET", Target("/a/x", "", "/a/x"), "/a"),
        ("POST", Target("/a/x", "", "/a/x"), "/a"),
        ("GET", Target("/a/x", "?q", "/a/x"), "/a"),
        ("GET", Target("/a/x", "", "/a/x"), ""),
        ("GET", Target("/a/" + "x" * LONGEST_KEPT, "", ""), "/a"),
    ]
    async with connector:
        way = Upstream("http://agent:8081/base", connector, asyncio.get_running_loop()).way
        for method, target, prefix in chain.from_iterable(permutations(asked, 2)):
            below = way.target(target.path.removeprefix(prefix), target.query)
            said = b"%b %b HTTP/1.1\r\nHost: agent:8081\r\n" % (method.encode(), below)
            assert way.begin(method, target, prefix) == said


async def test_nobody_there_is_said_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    async with upstream_at(port) as upstream:
        with pytest.raises(UpstreamConnect):
            await upstream.connect(1)


async def test_an_agent_that_speaks_no_tls_cannot_be_reached_by_it() -> None:
    async def plain(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    connector = AgentConnector(keepalive_timeout=15.0)
    async with raw_agent(plain) as agent, connector:
        upstream = Upstream(f"https://127.0.0.1:{agent.port}", connector, asyncio.get_running_loop())
        with pytest.raises(UpstreamConnect):
            await upstream.connect(5)


async def test_no_time_at_all_means_however_long_it_takes() -> None:
    async with raw_agent(answering(OK)) as agent, upstream_at(agent.port) as upstream:
        (await upstream.connect(0)).abort()
