"""What each transport does alone: loops, forks, proxies."""

import asyncio

import gatewayd_sdk as sdk
import pytest
from gatewayd_sdk._core.headers import Headers

from tests.agents import raw_agent
from tests.sdk.clients import http, server


async def test_a_client_of_another_event_loop_says_so() -> None:
    async with (
        server(http(200, '{"agents": []}')) as agent,
        sdk.AsyncGateway(f"http://127.0.0.1:{agent.port}") as client,
    ):
        await client.agents.list()
        with pytest.raises(sdk.ConfigurationError, match="another event loop"):
            await asyncio.to_thread(asyncio.run, client.agents.list())


async def test_a_forked_child_takes_connections_of_its_own() -> None:
    async with server(http(200, '{"agents": []}')) as agent:

        def twice() -> None:
            with sdk.Gateway(f"http://127.0.0.1:{agent.port}") as client:
                client.agents.list()
                client._caller.transport._process = -1  # as if the parent's connections were here
                client.agents.list()

        await asyncio.to_thread(twice)
        assert len(agent.received) == 2


@pytest.mark.parametrize("kind", ["asyncio", "blocking"])
async def test_a_proxy_is_asked_for_the_whole_url(kind: str) -> None:
    async with server(http(200, '{"agents": []}')) as agent:
        proxy = f"http://127.0.0.1:{agent.port}"
        if kind == "asyncio":
            async with sdk.AsyncGateway("http://gateway.invalid", proxy=proxy) as client:
                await client.agents.list()
        else:

            def ask() -> None:
                with sdk.Gateway("http://gateway.invalid", proxy=proxy) as client:
                    client.agents.list()

            await asyncio.to_thread(ask)
    assert bytes(agent.received[0]).startswith(b"GET http://gateway.invalid/gateway/v1/agents HTTP/1.1")


async def test_a_token_may_come_from_a_coroutine() -> None:
    async def token() -> str:
        return "t0ken"

    async with server(http(200, '{"agents": []}')) as agent:
        client = sdk.AsyncGateway(f"http://127.0.0.1:{agent.port}", token)
        await client.agents.list()
        await client.close()
    assert b"Bearer t0ken" in bytes(agent.received[0])


async def test_an_answer_that_drips_ends_at_the_total_timeout() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1")
        await reader.read()

    async with raw_agent(script) as agent:

        def ask() -> None:
            timeout = sdk.Timeout(total=0.1)
            with sdk.Gateway(f"http://127.0.0.1:{agent.port}", timeout=timeout) as client:
                client.agents.list()

        with pytest.raises(sdk.APITimeoutError):
            await asyncio.to_thread(ask)


def test_header_fields_are_a_mapping() -> None:
    assert list(Headers([("A", "1")])) == ["a"]
