import asyncio

import pytest

from gatewayd.errors import StoreError
from gatewayd.stores.redis.line import Away, Line, dial
from gatewayd.stores.redis.script import TAKE
from tests.patience import PATIENCE
from tests.valkey import Valkey


@pytest.mark.parametrize(
    "url", ["redis://host", "redis://:secret@host:1/3", "rediss://host:1", "unix:/a/b", "unix:///a/b?db=2"]
)
def test_an_address_of_redis_connects_nothing_when_read(url: str) -> None:
    assert dial(url)() is not dial(url)()


@pytest.mark.parametrize("url", ["redis:", "redis://host/x", "redis://host:99999", "unix:", "unix://", "http://host"])
def test_any_other_address_is_refused_with_what_to_write(url: str) -> None:
    with pytest.raises(StoreError, match="use redis://host:6379/0"):
        dial(url)


async def test_answers_come_in_the_order_of_the_questions(server: Valkey) -> None:
    line = Line(dial(server.url)(), [TAKE], patience=PATIENCE)
    await line.open()
    assert await line.ask([("ECHO", str(n)) for n in range(5)]) == [b"%d" % n for n in range(5)]
    await line.close()


async def test_one_error_among_the_answers_is_the_server_away(server: Valkey) -> None:
    line = Line(dial(server.url)(), [TAKE], patience=PATIENCE)
    await line.open()
    with pytest.raises(Away, match="ResponseError: unknown command"):
        await line.ask([("ECHO", "1"), ("NONSENSE",)])
    await line.close()


async def test_a_silent_server_is_away_in_time(server: Valkey) -> None:
    line = Line(dial(server.url)(), [TAKE], patience=0.01)
    await line.open()
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(Away, match="no answer within 20 ms"):
            await line.ask([("BLPOP", "nothing", "10")])
    await line.close()
