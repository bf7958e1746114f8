"""The parts of the data-plane benches: what is asked, who asks it, what a process and its children used."""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from itertools import islice

import jwt
import pytest

from tests.bench import machine
from tests.bench.declare import Unavailable
from tests.bench.plane import crowds, gateways
from tests.bench.plane.agent import PREFIX, Agent, agent, serving
from tests.bench.plane.load import Callers, Disturbed, in_turn, quantile
from tests.bench.plane.processes import Tree, spent
from tests.bench.plane.wire import ANSWER, ANSWER_BODY, REQUEST_BODY, SECRET, Tokens, get, jwks


def test_every_user_has_a_token_that_verifies_and_all_are_equally_long() -> None:
    tokens = Tokens(3)
    subjects = [jwt.decode(tokens[number], SECRET, algorithms=["HS256"])["sub"] for number in range(3)]
    assert subjects == ["user-0000000", "user-0000001", "user-0000002"]


def test_envoys_key_is_the_secret() -> None:
    (key,) = jwt.PyJWKSet.from_json(jwks()).keys
    assert key.key == SECRET.encode()


def test_the_bodies_have_the_sizes_that_figures_are_known_of() -> None:
    assert (len(REQUEST_BODY), len(ANSWER_BODY)) == (160, 913)


@pytest.mark.parametrize("users", [1, 7, 300, 1_000])
def test_in_turn_everybody_calls_once_before_anybody_calls_again(users: int) -> None:
    turns = in_turn(users)
    assert {*islice(turns, users)} == {*islice(turns, users)} == {*range(users)}


def test_by_popularity_each_tenfold_of_ranks_calls_equally_often() -> None:
    calls = Counter(len(str(user + 1)) for user in islice(crowds.by_popularity(1_000), 6_000))
    assert {*calls} <= {1, 2, 3}
    assert all(1_800 < calls[digits] < 2_200 for digits in (1, 2, 3))


def test_a_quantile_is_one_of_the_values() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert (quantile(values, 0.5), quantile(values, 0.99), quantile([3.0], 0.99)) == (51.0, 100.0, 3.0)


def test_a_tree_is_a_process_and_what_it_started() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        tree = Tree(os.getpid())
        assert {os.getpid(), child.pid} <= {*tree.members()}
        assert tree.resident_bytes() > machine.resident_bytes()
        assert child.pid in tree.cpu_seconds()
    finally:
        child.communicate()


def test_a_child_that_began_meanwhile_has_spent_all_it_used() -> None:
    assert spent({1: 2.0}, {1: 2.5, 2: 0.25}) == {1: 0.5, 2: 0.25}


async def test_the_callers_count_answers_and_say_how_busy_they_were() -> None:
    async with agent() as port:
        callers = Callers(port, Tokens(5), [f"{PREFIX}0/a", f"{PREFIX}0/b"])
        await callers.connect(2)
        load = await callers.ask(islice(in_turn(5), 50))
        assert load.requests == len(load.latencies) == 50
        assert 0 < load.own <= 1.5
        brief = await callers.ask(in_turn(5), 0.02)
        assert brief.requests == len(brief.latencies), "they end by themselves"
        again = await callers.ask(iter(range(5)))
        assert again.requests == 5
        callers.close()


async def test_callers_who_were_disconnected_between_two_rounds_connect_again() -> None:
    servers: list[Agent] = []

    def remembered() -> Agent:
        servers.append(Agent())
        return servers[-1]

    async with serving(remembered) as port:
        callers = Callers(port, Tokens(1), ["/"])
        await callers.connect(2)
        assert (await callers.ask(iter([0, 0]))).requests == 2
        for each in servers:
            each.close()
        await asyncio.sleep(0.01)
        assert (await callers.ask(iter([0, 0]))).requests == 2
        assert len(servers) == 4
        callers.close()


@pytest.mark.parametrize("chunked", [False, True], ids=["sized", "chunked"])
async def test_an_answer_in_pieces_is_counted_once(chunked: bool) -> None:
    head, _, body = ANSWER.partition(b"\r\n\r\n")
    if chunked:
        head = head.replace(b"Content-Length: 913", b"transfer-encoding: chunked")
        body = b"391\r\n" + body + b"\r\n0\r\n\r\n"
    async with scripted([head + b"\r\n\r\n", body[:-8], body[-8:-3], body[-3:]]) as port:
        callers = Callers(port, Tokens(1), ["/"])
        await callers.connect(1)
        assert (await callers.ask(iter([0, 0, 0]))).requests == 3
        callers.close()


@pytest.mark.parametrize(
    ("pieces", "why"),
    [([b"HTTP/1.1 429 Too Many Requests\r\n\r\n"], "429"), ([], "closed a connection")],
    ids=["refused", "closed"],
)
async def test_a_load_that_meets_anything_but_answers_measures_nothing(pieces: Sequence[bytes], why: str) -> None:
    async with scripted(pieces) as port:
        callers = Callers(port, Tokens(1), ["/"])
        await callers.connect(1)
        with pytest.raises(Disturbed, match=why):
            await callers.ask(in_turn(1), 5)
        callers.close()


async def test_the_agent_gives_a_body_of_the_size_asked_for() -> None:
    async with agent() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get(f"{PREFIX}0/body/300000", b""))
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Content-Length: 300000" in head
        assert len(await reader.readexactly(300_000)) == 300_000
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("gate", [gateways.nginx, gateways.haproxy, gateways.envoy, gateways.caddy])
def test_a_gateway_that_is_not_here_is_named(gate: gateways.Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(Unavailable, match=r"is not installed"):
        gate(1)


def scripted(pieces: Sequence[bytes]) -> AbstractAsyncContextManager[int]:
    """An agent that answers each request with these, in a turn of the loop each; with none, it closes."""
    return serving(lambda: Scripted(pieces))


class Scripted(Agent):
    def __init__(self, pieces: Sequence[bytes]) -> None:
        super().__init__()
        self._pieces = pieces

    def answer(self, transport: asyncio.Transport) -> None:
        if not self._pieces:
            transport.close()
        for turn, piece in enumerate(self._pieces):
            asyncio.get_running_loop().call_later(turn / 1e3, transport.write, piece)
