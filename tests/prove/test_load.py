import asyncio
import random

import pytest

from gatewayd.prove.caller import Caller
from gatewayd.prove.configuration import HIGHEST_COST, Bought, Price
from gatewayd.prove.load import any_call, load
from gatewayd.prove.stage import User
from tests.patience import PATIENCE
from tests.prove.servers import Saying, saying
from tests.prove.test_caller import OK

ANN = User("ann", Bought(), "token")


async def until_called(server: Saying, times: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while len(server.requests) < times:
            await asyncio.sleep(0)


async def test_callers_call_until_the_end_and_every_call_has_ended_then() -> None:
    async with saying(OK) as server:
        async with load([(Caller(server), lambda: (ANN, "/call")) for _ in range(3)]) as calling:
            await until_called(server, 10)
        assert len(calling.calls) == len(server.requests) >= 10
        assert {(call.user, call.listener, call.answer.status) for call in calling.calls} == {(ANN, server, 200)}


async def test_a_caller_goes_on_when_the_gateway_is_away() -> None:
    async with saying(OK, hang_up=True) as server, load([(Caller(server), lambda: (ANN, "/call"))]) as calling:
        await until_called(server, 3)
    assert {call.answer.whole for call in calling.calls} >= {True}


async def fail_under_load(server: Saying) -> None:
    async with load([(Caller(server), lambda: (ANN, "/call"))]):
        await until_called(server, 1)
        raise RuntimeError


async def test_a_trial_that_fails_leaves_nobody_calling() -> None:
    async with saying(OK) as server:
        with pytest.raises(RuntimeError):
            await fail_under_load(server)
        assert not [task for task in asyncio.all_tasks() if "go_on" in repr(task)]


def test_any_call_states_no_more_than_was_held() -> None:
    chance = random.Random(1)
    targets = [any_call(chance) for _ in range(300)]
    for target in targets:
        price = Price.of(target)
        stated = target.partition("quantity=")[2]
        assert 1 <= price.cost <= price.held <= HIGHEST_COST
        assert int(stated or 0) <= price.held
    assert len(set(targets)) > 200
