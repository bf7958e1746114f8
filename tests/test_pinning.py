"""Each request is pinned to the generation in force when it began, and counted until it has ended."""

import asyncio
import dataclasses

import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpClient

from gatewayd.exchange import EXCHANGE
from tests.clocks import ManualClock
from tests.policies.rings import EMAIL, Ring, until
from tests.problems import ask


async def test_a_request_keeps_the_generation_that_it_began_with(
    aiohttp_client: AiohttpClient, clock: ManualClock
) -> None:
    ring = Ring(EMAIL, clock)
    begun, swapped = asyncio.Event(), asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        begun.set()
        await swapped.wait()
        return web.json_response([request[EXCHANGE].generation.number, dict(ring.generations.running)])

    ring.handler = handle
    client = await aiohttp_client(ring.app)
    first = asyncio.create_task(ask(client, "/api/email/x"))
    await until(begun)
    ring.generations.current = dataclasses.replace(ring.generation, number=2)
    begun.clear()
    second = asyncio.create_task(ask(client, "/api/email/x"))
    await until(begun)
    assert (ring.generations.running, ring.drain.in_flight) == ({1: 1, 2: 1}, 2)
    swapped.set()
    assert [(await first).json[0], (await second).json[0]] == [1, 2]  # type: ignore[index]
    assert (ring.generations.running, ring.drain.in_flight) == ({}, 0)


@pytest.mark.parametrize("error", [RuntimeError(), web.HTTPNotFound(), asyncio.CancelledError()], ids=repr)
async def test_requests_that_fail_are_not_counted_for_ever(clock: ManualClock, error: BaseException) -> None:
    ring = Ring(EMAIL, clock)

    async def failing(_: web.Request) -> web.StreamResponse:
        assert (dict(ring.generations.running), ring.drain.in_flight) == ({1: 1}, 1)
        raise error

    with pytest.raises(type(error)):
        await ring.generations.pinning()(Fields(), failing)  # type: ignore[arg-type]
    assert (dict(ring.generations.running), ring.drain.in_flight) == ({}, 0)


class Fields(dict[object, object]):
    """As much of a request as pinning looks at."""

    method = "GET"
    remote = "192.0.2.1"

    @property
    def _state(self) -> "Fields":
        return self


@pytest.mark.parametrize(("remote", "client"), [("192.0.2.1", "192.0.2.1"), ("", "unix"), (None, "unix")])
def test_a_caller_without_an_address_came_over_a_unix_socket(
    clock: ManualClock, remote: str | None, client: str
) -> None:
    request = Fields()
    request.remote = remote  # type: ignore[assignment]
    assert Ring(EMAIL, clock).generations.begin(request).client == client  # type: ignore[arg-type]
