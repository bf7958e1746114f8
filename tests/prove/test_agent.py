import asyncio

import pytest

from gatewayd.prove.agent import ENDINGS, HOST, PIECE, PROMISED, Agent, Ending, running_agent
from gatewayd.prove.wire import read_body, read_head
from tests.patience import PATIENCE


async def ask(agent: Agent, query: str = "", user: str = "ann", name: str = "r1") -> tuple[bytes, asyncio.StreamWriter]:
    """What it says until it hangs up or 50 ms are silent."""
    reader, writer = await asyncio.open_connection(HOST, agent.port)
    writer.write(f"GET /call?{query} HTTP/1.1\r\nX-Request-ID: {name}\r\nX-User-ID: {user}\r\n\r\n".encode())
    said = b""
    try:
        while piece := await asyncio.wait_for(reader.read(65536), 0.05):
            said += piece
    except (TimeoutError, ConnectionResetError):
        pass
    return said, writer


@pytest.mark.parametrize("ending", ENDINGS)
async def test_an_answer_ends_as_the_caller_asked_for(ending: Ending) -> None:
    async with running_agent() as agent:
        said, writer = await ask(agent, f"end={ending}")
        writer.close()
    assert (
        len(said.split(b"\r\n\r\n", 1)[-1])
        == {
            "sized": PROMISED,
            "chunked": 4 * (len(PIECE) + 6) + 5,
            "short": 3 * len(PIECE),
            "unterminated": len(PIECE) + 6,
            "reset": len(PIECE) + 6,
            "silent": 0,
            "endless": len(PIECE) + 6,
        }[ending]
    )
    [visit] = agent.visits
    assert (visit.answered is not None) == (ending in ("sized", "chunked"))


async def test_every_request_is_remembered_with_its_id_and_user() -> None:
    async with running_agent() as agent:
        for name, user in (("r1", "ann"), ("r2", "bob"), ("r3", "ann")):
            (await ask(agent, user=user, name=name))[1].close()
    assert [visit.id for visit in agent.visits_of("ann")] == ["r1", "r3"]
    assert len(agent.visits) == 3


async def test_it_states_the_quantity_that_it_was_asked_to_state() -> None:
    async with running_agent() as agent:
        said, writer = await ask(agent, "quantity=17")
        writer.close()
    assert b"\r\nX-Usage-Quantity: 17\r\n" in said
    assert agent.visits[0].quantity == 17


async def test_one_connection_carries_many_requests_though_they_arrive_in_pieces() -> None:
    async with running_agent() as agent, asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection(HOST, agent.port)
        for _ in range(3):
            for piece in (b"GET /call HTTP/1.1\r\nX-Requ", b"est-ID: r\r\nX-User-ID: ann\r\n\r\n"):
                writer.write(piece)
                await asyncio.sleep(0)
            assert len(await read_body(reader, await read_head(reader))) == PROMISED
        writer.close()
    assert len(agent.visits) == 3


async def test_who_hangs_up_before_the_answer_is_seen_to_have_left() -> None:
    async with running_agent() as agent, asyncio.timeout(PATIENCE):
        _, writer = await ask(agent, "end=silent")
        visit = await agent.visit_of("ann")
        assert visit.left is None
        writer.transport.abort()
        await agent.until(lambda: visit.left is not None)
    assert visit.answered is None


async def test_an_answer_may_take_its_time() -> None:
    async with running_agent() as agent:
        said, writer = await ask(agent, "after=0.01")
        writer.close()
    assert said.endswith(PIECE)
