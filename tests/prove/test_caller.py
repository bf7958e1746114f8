import asyncio

import pytest

from gatewayd.prove import caller as caller_module
from gatewayd.prove.caller import Answer, Caller
from tests.patience import PATIENCE
from tests.prove.servers import saying

OK = b"HTTP/1.1 200 OK\r\nX-Request-ID: r1\r\nContent-Length: 2\r\n\r\n{}"


async def test_an_answer_is_told_as_it_was_seen() -> None:
    async with saying(OK) as server:
        caller = Caller(server)
        answer = await caller.call("/call", "a.b.c")
        caller.leave()
    assert (answer.status, answer.id, answer.body, answer.whole) == (200, "r1", b"{}", True)
    assert answer.sent <= answer.ended
    assert server.requests == [b"GET /call HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer a.b.c\r\n\r\n"]


async def test_a_connection_is_used_again_until_it_ends() -> None:
    async with saying(OK) as server:
        caller = Caller(server)
        for _ in range(3):
            await caller.call("/call", "t")
        assert server.connections == 1
        caller.leave()
        await caller.call("/call", "t")
        assert server.connections == 2
        caller.leave()


async def test_a_gateway_that_closes_is_called_on_a_new_connection() -> None:
    async with saying(OK.replace(b"X-R", b"Connection: close\r\nX-R"), hang_up=True) as server:
        caller = Caller(server)
        for _ in range(3):
            assert (await caller.call("/call", "t")).whole
    assert server.connections == 3


@pytest.mark.parametrize(
    ("said", "status"),
    [
        pytest.param(b"", 0, id="nothing"),
        pytest.param(b"HTTP/1.1 20", 0, id="half a head"),
        pytest.param(OK[:-1], 200, id="half a body"),
        pytest.param(b"garbage\r\n\r\n", 0, id="no head"),
    ],
)
async def test_what_broke_off_is_not_whole(said: bytes, status: int) -> None:
    async with saying(said, hang_up=True) as server:
        answer = await Caller(server).call("/call", "t")
    assert (answer.status, answer.whole) == (status, False)


async def test_nobody_there_is_an_answer_too() -> None:
    async with saying(OK) as server:
        pass
    answer = await Caller(server).call("/call", "t")
    assert (answer.status, answer.whole, answer.id) == (0, False, "")
    assert answer.told.startswith("nothing came in ")


async def test_no_caller_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caller_module, "PATIENCE", 0.05)
    async with saying(b"HTTP/1.1 200 OK\r\n") as server:
        assert not (await Caller(server).call("/call", "t")).whole


async def test_a_call_can_be_begun_and_left() -> None:
    async with saying(OK) as server:
        caller = Caller(server)
        async with asyncio.timeout(PATIENCE):
            await caller.begin("/call", "t", head=True)
        caller.leave()
        caller.leave()
    assert len(server.requests) == 1


def test_what_went_well_is_kept_in_short_and_what_did_not_in_full() -> None:
    fields = {"x-request-id": "r1", "date": "today"}
    well = Answer(1.0, 2.0, 200, fields, b"body", whole=True)
    assert (well.brief.id, well.brief.body, len(well.brief.fields)) == ("r1", b"", 1)
    refused = Answer(1.0, 1.5, 402, fields, b"why", whole=True)
    assert refused.brief is refused
    assert refused.told == "402 after 0.500 s: b'why'"
    assert "broke off" in Answer(1.0, 1.5, 200, fields).told
