"""Who pays for what: the rows of docs/billing.md that no other test has, through the whole gateway."""

import ast
import asyncio
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from gatewayd.model import Revocation
from gatewayd.stores.open import open_clerk
from tests.agents import Script, deaf_agent, raw_agent, read_body, talk
from tests.gateways import PLANS, RunningGateway, running_gateway
from tests.patience import PATIENCE

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
HALF = b"HTTP/1.1 200 OK\r\nX-Usage-Quantity: 9\r\nContent-Length: 100\r\n\r\nshort"
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
UPGRADE = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
LONG = 24 * 1024 * 1024  # more than all buffers on the way take
QUICK = 'timeouts = { %s = "150ms" }'
BRIEF = 'timeouts = { total = "500ms" }'  # time enough to reach the agent, and to have the head of its answer


ROOT = Path(__file__).parents[1]
AMOUNTS = "tests/faults/test_amounts.py"
AWAY = "tests/faults/test_database_away.py"
SHARED = "tests/faults/test_shared.py"
FULL = "tests/faults/test_full_disk.py"
DAMAGED = "tests/faults/test_damaged_journal.py"
WORKERS = "tests/faults/test_workers.py"
PUNCTUAL = "tests/books/test_punctual.py"
WHO_PAYS = "tests/test_billing.py::test_who_pays_for_what"
HELD_AND_CHARGED = "tests/test_money.py::test_what_is_held_and_what_is_charged"
# How a row of the table in docs/billing.md begins, and the tests that hold it.
PROOFS: dict[str, tuple[str, ...]] = {
    "the answer was passed on whole": (
        HELD_AND_CHARGED,
        "tests/test_billing.py::test_an_answer_that_came_before_the_upload_was_over_is_a_delivered_one",
    ),
    "the agent stated more than `cost`": (HELD_AND_CHARGED,),
    "the agent stated more than `max`": (HELD_AND_CHARGED,),
    "the agent stated what is no quantity": (
        HELD_AND_CHARGED,
        f"{AMOUNTS}::test_whatever_an_agent_states_only_a_quantity_of_1_to_15_digits_counts_and_the_rest_is_logged",
    ),
    "a WebSocket after either side sent Close": (WHO_PAYS,),
    "the agent answered 5xx": (HELD_AND_CHARGED,),
    "the agent took too long": (WHO_PAYS,),
    "the agent fell silent in the middle": (WHO_PAYS,),
    "the agent closed without an answer": (WHO_PAYS,),
    "the agent's answer was no HTTP": (WHO_PAYS,),
    "the agent dropped a WebSocket": (WHO_PAYS,),
    "cut off at the end of a drain": (
        "tests/test_billing.py::test_an_answer_cut_at_the_drains_end_costs_the_caller_nothing",
    ),
    "cut off because the caller was revoked": (
        "tests/test_billing.py::test_what_a_revoked_caller_had_open_costs_nothing",
    ),
    "the caller left before or during the answer": (
        "tests/test_money.py::test_who_leaves_in_the_middle_of_an_answer_is_charged_what_was_stated_so_far",
        "tests/test_money.py::test_a_route_may_say_what_a_call_costs_that_did_not_end_well",
        "tests/test_billing.py::test_who_hangs_up_a_websocket_without_close_pays_the_cost",
    ),
    "the caller stopped sending its body": (WHO_PAYS,),
    "the caller's body broke on its way": (
        "tests/test_billing.py::test_a_body_that_breaks_on_its_way_to_the_agent_is_the_callers_fault",
    ),
    "the gateway's process died in between": (
        f"{WORKERS}::test_a_worker_killed_alone_gives_its_units_back_once_its_successor_has_started",
        f"{PUNCTUAL}::test_what_a_dead_worker_held_is_recorded_or_free_within_two_seconds_of_its_successors_start",
        f"{WORKERS}::test_a_worker_killed_as_it_was_connecting_leaves_an_unknown_record_that_costs",
    ),
    "the call was repeated on a fresh connection": (
        "tests/test_billing.py::test_a_call_repeated_on_a_fresh_connection_is_charged_once",
    ),
    "refused: 401, 402": (
        "tests/test_money.py::test_a_refused_call_frees_what_it_held_and_leaves_no_record",
        "tests/test_billing.py::test_who_is_refused_before_the_agent_leaves_no_record",
    ),
    "the body was too large": (
        "tests/test_money.py::test_a_refused_call_frees_what_it_held_and_leaves_no_record",
        "tests/test_money.py::test_a_body_that_turns_out_too_large_on_its_way_leaves_no_record",
    ),
    "the body was broken before": (
        "tests/test_billing.py::test_a_body_that_was_broken_before_the_agent_was_called_leaves_no_record",
    ),
    "no connection to the agent": (
        "tests/test_money.py::test_an_agent_that_cannot_be_reached_costs_nothing",
        "tests/test_billing.py::test_an_agent_that_takes_no_connection_in_time_costs_nothing",
    ),
    "the caller left before the agent was called": (
        "tests/test_money.py::test_who_leaves_while_the_hold_is_pending_holds_nothing_afterwards",
    ),
    "the ledger is away, and the caller has a lease": (
        "tests/books/test_makeshift.py::test_in_an_outage_every_idle_unit_of_the_daemon_serves_whoever_wants_it",
        f"{AWAY}::test_an_outage_under_load_costs_503_at_most_and_the_quota_is_spent_exactly",
        f"{AWAY}::test_a_daemon_starts_without_its_database_serves_whom_it_can_and_posts_all_when_it_is_there",
    ),
    "the ledger is away, and the caller has no lease": (
        "tests/test_money.py::test_while_the_ledger_is_away_callers_get_503_and_ready_says_so",
    ),
    "the ledger is away, whatever the caller has": (
        f"{AWAY}::test_denying_means_503_for_all_who_would_be_charged_from_the_first_moment_on",
    ),
    "what is left is leased to a daemon that does not answer": (
        f"{SHARED}::test_the_units_of_a_daemon_that_is_lost_with_its_directory_are_free_once_an_operator_says_so",
    ),
    "the journal has no room": (
        f"{FULL}::test_without_room_callers_get_service_or_503_and_with_it_every_record_is_there",
    ),
    "a journal was damaged before it was posted": (
        f"{DAMAGED}::test_what_can_be_read_of_damaged_journals_is_posted_and_the_rest_is_set_aside_and_named",
    ),
    "a unit that the plan does not name": (
        f"{AMOUNTS}::test_a_unit_that_no_plan_names_is_recorded_and_a_user_without_a_plan_gets_402_and_no_record",
    ),
    "a user's tokens claim different plans": (
        "tests/books/test_leases.py::test_units_granted_under_a_larger_limit_serve_nobody_who_may_have_less",
        "tests/books/test_leases.py::test_a_refusal_under_one_limit_is_none_for_those_who_may_have_more",
        "tests/books/test_simulation.py::test_money_is_exact_whatever_happens",
    ),
    "a public route, by a caller who proved no name": (
        "tests/test_money.py::test_a_public_routes_record_names_nobody_who_did_not_prove_it",
    ),
}


# The row, by how the name of a case of `test_who_pays_for_what` begins.
BEGINNINGS = {
    "too slow to begin": "the agent took too long",
    "too slow in all": "the agent took too long",
    "takes no body": "the agent took too long",
    "silent in the middle": "the agent fell silent in the middle",
    "not ready in the middle": "the agent fell silent in the middle",
    "broke off": "the agent closed without an answer",
    "closed without an answer": "the agent closed without an answer",
    "no HTTP": "the agent's answer was no HTTP",
    "stopped sending": "the caller stopped sending its body",
    "a WebSocket closed": "a WebSocket after either side sent Close",
    "a WebSocket without a word": "a WebSocket after either side sent Close",
    "a WebSocket dropped": "the agent dropped a WebSocket",
}


class Row(NamedTuple):
    """Of docs/billing.md, "Who pays for what"."""

    how: str
    status: str
    outcome: str
    charged: str
    decided: str


def documented() -> list[Row]:
    section = (ROOT / "docs/billing.md").read_text().partition("## Who pays for what")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")][1:]
    return [Row(*(cell.strip() for cell in line.strip("|").split("|"))) for line in lines]


def row_of(beginning: str) -> Row:
    (found,) = [row for row in documented() if row.how.startswith(beginning)]
    return found


def test_every_row_of_the_documents_has_a_test_and_every_one_of_these_tests_is_there() -> None:
    rows = documented()
    assert len(rows) > 30
    assert {beginning: row_of(beginning).how for beginning in PROOFS}.keys() == PROOFS.keys()
    assert {row_of(beginning) for beginning in PROOFS} == set(rows)
    for place in {proof for proofs in PROOFS.values() for proof in proofs}:
        file, _, name = place.partition("::")
        tree = ast.parse((ROOT / file).read_text())
        assert name in {each.name for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}, (
            name
        )


def saying(answer: bytes, *, then_close: bool = False) -> Script:
    """Says this after a head, and then no more."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        if not then_close:
            await reader.read()

    return script


async def deaf(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Reads a head, and no body."""
    await reader.readuntil(b"\r\n\r\n")
    await asyncio.Event().wait()


def routes(url: str, more: str) -> str:
    """A route whose calls cost 3."""
    place = f'[routes.email]\nprefix = "/api/email"\nupstream = "{url}"\n'
    return f"{place}usage = {{ unit = 'api_calls', cost = 3 }}\n{more}\n"


def asking(gateway: RunningGateway, fields: bytes = b"", body: bytes = b"", method: bytes = b"GET") -> bytes:
    token = gateway.token().encode()
    head = b"%b /api/email/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: Bearer %b\r\n" % (method, token)
    return (head.replace(b"Connection: close\r\n", b"") if b"Upgrade" in fields else head) + fields + b"\r\n" + body


@pytest.mark.parametrize(
    ("script", "more", "fields", "body", "charged"),
    [
        pytest.param(saying(b""), QUICK % "first_byte", b"", b"", ("failed", 0, 504), id="too slow to begin"),
        pytest.param(saying(b""), BRIEF, b"", b"", ("failed", 0, 504), id="too slow in all"),
        pytest.param(
            deaf,
            QUICK % "idle",
            b"Content-Length: %d\r\n" % LONG,
            bytes(LONG),
            ("failed", 0, 504),
            id="takes no body",
        ),
        pytest.param(saying(HALF), QUICK % "idle", b"", b"", ("failed", 0, 200), id="silent in the middle"),
        pytest.param(saying(HALF), BRIEF, b"", b"", ("failed", 0, 200), id="not ready in the middle"),
        pytest.param(saying(HALF, then_close=True), "", b"", b"", ("failed", 0, 200), id="broke off"),
        pytest.param(
            saying(HALF, then_close=True),
            'charge = { failed = "cost" }',
            b"",
            b"",
            ("failed", 9, 200),
            id="broke off, and the route charges for it",
        ),
        pytest.param(saying(b"", then_close=True), "", b"", b"", ("failed", 0, 502), id="closed without an answer"),
        pytest.param(saying(b"HTTP/1.1 nonsense\r\n\r\n"), "", b"", b"", ("failed", 0, 502), id="no HTTP"),
        pytest.param(
            saying(b""), "", b"Content-Length: 9\r\n", b"half", ("client_closed", 3, 408), id="stopped sending"
        ),
        pytest.param(
            saying(b""),
            "charge = { client_closed = 0 }",
            b"Content-Length: 9\r\n",
            b"half",
            ("client_closed", 0, 408),
            id="stopped sending, and the route forgives it",
        ),
        pytest.param(
            saying(SWITCH + b"\x88\x00", then_close=True),
            "",
            UPGRADE,
            b"",
            ("delivered", 3, 101),
            id="a WebSocket closed",
        ),
        pytest.param(
            saying(SWITCH), QUICK % "idle", UPGRADE, b"", ("delivered", 3, 101), id="a WebSocket without a word"
        ),
        pytest.param(
            saying(SWITCH + b"\x81\x01x", then_close=True),
            "",
            UPGRADE,
            b"",
            ("failed", 0, 101),
            id="a WebSocket dropped",
        ),
    ],
)
async def test_who_pays_for_what(
    tmp_path: Path,
    request: pytest.FixtureRequest,
    script: Script,
    more: str,
    fields: bytes,
    body: bytes,
    charged: tuple[str, int, int],
) -> None:
    row = row_of(BEGINNINGS[request.node.callspec.id.partition(",")[0]])
    assert row.outcome == f"`{charged[0]}`"
    assert str(charged[2]) in row.status or "the agent's" in row.status
    assert "charge = " in more or {"0": 0, "`cost`": 3}.get(row.charged.rpartition("else ")[2]) == charged[1]
    async with (
        raw_agent(script) as agent,
        running_gateway(tmp_path, routes=routes(agent.url, more), server='body_timeout = "150ms"\n') as gateway,
    ):
        await talk(gateway.port, asking(gateway, fields, body, b"POST" if body else b"GET"))
        [record] = await gateway.records_when(1)
        assert (record["outcome"], record["quantity"], record["status"]) == charged
        await gateway.stop()
        [balance] = gateway.balances()
        assert (balance["held"], balance["spent"]) == (0, charged[1])


async def test_a_call_repeated_on_a_fresh_connection_is_charged_once(tmp_path: Path) -> None:
    answered = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal answered
        await read_body(await reader.readuntil(b"\r\n\r\n"), reader)
        writer.write(OK)
        answered += 1
        if answered == 1:
            await reader.readuntil(b"\r\n\r\n")  # the second call comes on the pooled connection, and finds it closing

    async with raw_agent(script) as agent, running_gateway(tmp_path, routes=routes(agent.url, "")) as gateway:
        for _ in range(2):
            assert b"200 OK" in await talk(gateway.port, asking(gateway))
        records = await gateway.records_when(2)
        assert [(record["outcome"], record["quantity"]) for record in records] == [("delivered", 3)] * 2
        assert len(agent.received) == 2
        assert sum(bytes(each).count(b"GET ") for each in agent.received) == 3
        await gateway.stop()
        assert len(await gateway.posted()) == 2


async def test_an_answer_cut_at_the_drains_end_costs_the_caller_nothing(tmp_path: Path) -> None:
    async with raw_agent(saying(HALF)) as agent, running_gateway(tmp_path, routes=routes(agent.url, "")) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(asking(gateway))
        await reader.readuntil(b"short")
        gateway.daemon.stop()
        gateway.daemon.stop()
        await gateway.task
        [record] = await gateway.posted()
        assert (record["outcome"], record["quantity"], record["status"]) == ("failed", 0, 200)
        writer.close()


async def test_an_answer_that_came_before_the_upload_was_over_is_a_delivered_one(tmp_path: Path) -> None:
    early = saying(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    async with raw_agent(early) as agent, running_gateway(tmp_path, routes=routes(agent.url, "")) as gateway:
        said = await talk(gateway.port, asking(gateway, b"Content-Length: 9\r\n", b"half", b"POST"))
        assert said.startswith(b"HTTP/1.1 403 ")
        [record] = await gateway.records_when(1)
        assert (record["outcome"], record["quantity"], record["status"]) == ("delivered", 3, 403)


async def test_a_body_that_breaks_on_its_way_to_the_agent_is_the_callers_fault(tmp_path: Path) -> None:
    async with raw_agent(saying(b"")) as agent, running_gateway(tmp_path, routes=routes(agent.url, "")) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(asking(gateway, b"Transfer-Encoding: chunked\r\n", b"4\r\nhalf\r\n", b"POST"))
        async with asyncio.timeout(PATIENCE):
            while not agent.received or not agent.received[0]:
                await asyncio.sleep(0.01)
        writer.write(b"xyz\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
        writer.close()
        [record] = await gateway.records_when(1)
        assert (record["outcome"], record["quantity"], record["status"]) == ("client_closed", 3, 400)


async def test_a_body_that_was_broken_before_the_agent_was_called_leaves_no_record(tmp_path: Path) -> None:
    async with raw_agent(saying(b"")) as agent, running_gateway(tmp_path, routes=routes(agent.url, "")) as gateway:
        fields = b"Transfer-Encoding: chunked\r\n"
        said = await talk(gateway.port, asking(gateway, fields, b"4\r\nhalf\r\nxyz\r\n", b"POST"))
        assert said.startswith(b"HTTP/1.1 400 ")
        await gateway.stop()
        assert (await gateway.posted(), agent.received) == ([], [])


async def test_who_hangs_up_a_websocket_without_close_pays_the_cost(tmp_path: Path) -> None:
    async with raw_agent(saying(SWITCH)) as agent, running_gateway(tmp_path, routes=routes(agent.url, "")) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(asking(gateway, UPGRADE))
        await reader.readuntil(b"\r\n\r\n")
        writer.close()
        [record] = await gateway.records_when(1)
        [line] = await gateway.log_lines(1)
    assert (record["outcome"], record["quantity"]) == ("client_closed", 3)
    assert line["code"] == "client_closed"


async def test_what_a_revoked_caller_had_open_costs_nothing(tmp_path: Path) -> None:
    async with raw_agent(saying(HALF)) as agent, running_gateway(tmp_path, routes=routes(agent.url, "")) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(asking(gateway))
        await reader.readuntil(b"short")
        with open_clerk(f"sqlite:{tmp_path}/ledger.db") as clerk:
            clerk.revoke(Revocation("all", "", time.time() + 60))
        with suppress(ConnectionError):
            await reader.read()
        writer.close()
        [record] = await gateway.records_when(1)
        [line] = await gateway.log_lines(1)
    assert (record["outcome"], record["quantity"], record["status"]) == ("failed", 0, 200)
    assert line["code"] == "token_invalid"


async def test_who_is_refused_before_the_agent_leaves_no_record(tmp_path: Path) -> None:
    general = PLANS.replace("api_calls = 100000", "api_calls = 3")
    general = general.replace("default = true", 'default = true\nrate_limit = ["2/hour"]')
    async with (
        raw_agent(saying(OK, then_close=True)) as agent,
        running_gateway(tmp_path, routes=routes(agent.url, ""), general=general) as gateway,
    ):
        nobody = b"GET /api/email/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        answers = [await talk(gateway.port, nobody)]
        answers += [await talk(gateway.port, asking(gateway)) for _ in range(3)]
        assert [answer.split(b" ")[1] for answer in answers] == [b"401", b"200", b"402", b"429"]
        await gateway.stop()
        assert len(await gateway.posted()) == 1


async def test_an_agent_that_takes_no_connection_in_time_costs_nothing(tmp_path: Path) -> None:
    async with deaf_agent() as url, running_gateway(tmp_path, routes=routes(url, QUICK % "connect")) as gateway:
        assert (await talk(gateway.port, asking(gateway))).startswith(b"HTTP/1.1 504 ")
        await gateway.stop()
        assert await gateway.posted() == []
