"""Amounts that are none, plans and units that nobody named: each has its answer, and none invents a unit."""

import asyncio
import json
from pathlib import Path

import pytest

from gatewayd.config.loading import parse
from gatewayd.errors import ConfigError
from tests.agents import raw_agent
from tests.daemons import command, running_daemon
from tests.faults.crowds import bearer, call, configured, counting_agent, finished, nothing_held, posted, records_of
from tests.gateways import SECRET

LARGEST = 10**15 - 1

# What an agent states, what is charged (the cost is 1), and whether the log says that it was ignored.
STATEMENTS = [
    (["0"], 0, False),
    (["2"], 2, False),
    (["000000000000003"], 3, False),
    ([str(LARGEST)], LARGEST, False),
    (["-1"], 1, True),
    (["-0"], 1, True),
    (["+1"], 1, True),
    (["1.0"], 1, True),
    (["1e3"], 1, True),
    (["0x10"], 1, True),
    (["1_000"], 1, True),
    (["1,000"], 1, True),
    (["1 0"], 1, True),
    (["NaN"], 1, True),
    (["Infinity"], 1, True),
    ([""], 1, True),
    (["many"], 1, True),
    (["\u0665"], 1, True),  # a digit, but not of ASCII
    (["9" * 16], 1, True),
    (["0" * 15 + "1"], 1, True),
    (["9" * 4000], 1, True),
    (["2", "2"], 1, True),
    (["2", "-2"], 1, True),
    (["2, 3"], 1, True),
]


async def test_whatever_an_agent_states_only_a_quantity_of_1_to_15_digits_counts_and_the_rest_is_logged(
    tmp_path: Path,
) -> None:
    statements = iter(STATEMENTS)

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            stated, _, _ = next(statements)
            fields = "".join(f"X-Usage-Quantity: {value}\r\n" for value in stated)
            writer.write(f"HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n".encode())

    async with raw_agent(script) as agent:
        config = configured(tmp_path, agent.url)
        async with running_daemon(config) as daemon:
            ids = []
            for _ in STATEMENTS:
                answer = await call(daemon, bearer("bob", plan="open"))
                assert answer.status == 200
                ids.append(answer.headers["X-Request-ID"])
            records = await posted(config, set(ids))
            usage = (await call(daemon, bearer("bob", plan="open"), "/gateway/v1/usage")).json["units"]
            await finished(daemon)
    assert [records[each].quantity for each in ids] == [charged for _, charged, _ in STATEMENTS]
    assert [each["spent"] for each in usage] == [sum(charged for _, charged, _ in STATEMENTS)]
    lines = [json.loads(line) for line in (tmp_path / "access.log").read_text().splitlines()]
    ignored = {line["request_id"]: line["quantity_ignored"] for line in lines}
    assert [ignored[each] for each in ids] == [said for _, _, said in STATEMENTS]


async def test_a_statement_of_all_there_can_be_is_charged_in_full_and_the_next_call_is_refused(tmp_path: Path) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nX-Usage-Quantity: %d\r\nContent-Length: 0\r\n\r\n" % LARGEST)

    async with raw_agent(script) as agent:
        config = configured(tmp_path, agent.url, workers=2, quota=LARGEST)
        async with running_daemon(config) as daemon:
            assert [(await call(daemon, bearer())).status for _ in range(4)] == [200, 402, 402, 402]
            usage = (await call(daemon, bearer(), "/gateway/v1/usage")).json["units"][0]
            assert (usage["spent"], usage["held"], usage["remaining"]) == (LARGEST, 0, 0)
            await nothing_held(config)
            await finished(daemon)
    assert sum(each.quantity for each in records_of(config).values()) == LARGEST


UNNAMED = """
[routes.pages]
prefix = "/api/pages"
upstream = "{upstream}"
usage = {{ unit = "pages", cost = 7 }}
"""


async def test_a_unit_that_no_plan_names_is_recorded_and_a_user_without_a_plan_gets_402_and_no_record(
    tmp_path: Path,
) -> None:
    async with counting_agent() as (agent, counting):
        config = configured(tmp_path, agent.url, quota=1, more=UNNAMED.format(upstream=agent.url))
        async with running_daemon(config) as daemon:
            for _ in range(3):
                assert (await call(daemon, bearer(), "/api/pages/1")).status == 200
            document = (await call(daemon, bearer("eve", plan="platinum"))).problem(402, "quota_exhausted")
            assert (document["plan"], document["limit"], document["used"]) == (None, 0, 0)
            assert (await call(daemon, bearer("eve", plan="platinum"), "/api/pages/1")).status == 402
            records = await posted(config, set(counting.reached))
            usage = (await call(daemon, bearer(), "/gateway/v1/usage")).json["units"]
            await finished(daemon)
    assert [(each.user_id, each.unit, each.quantity) for each in records.values()] == [("ann", "pages", 7)] * 3
    told = {each["unit"]: (each["limit"], each["spent"], each["remaining"]) for each in usage}
    assert told == {"api_calls": (1, 0, 1), "pages": (None, 21, None)}


@pytest.mark.parametrize("key", ["quota", "cost", "max"])
@pytest.mark.parametrize(
    ("amount", "said"),
    [
        ("-1", "must be at least 0"),
        (str(LARGEST + 1), f"must be at most {LARGEST}"),
        ("99999999999999999999", f"must be at most {LARGEST}"),
        ("1.5", "must be a whole number"),
        ("true", "must be a whole number"),
        ("nan", "must be a whole number"),
        ('"5"', "must be a whole number"),
    ],
)
def test_an_amount_in_a_configuration_is_a_whole_number_of_1_to_15_digits(key: str, amount: str, said: str) -> None:
    quota = amount if key == "quota" else 5
    usage = f"{key} = {amount}" if key != "quota" else "cost = 1"
    text = f'[auth]\nsecret = "{SECRET}"\n[plans.free]\nquota = {{ calls = {quota} }}\n'
    text += f'[routes.a]\nprefix = "/a"\nupstream = "http://h"\nusage = {{ unit = "calls", {usage} }}\n'
    with pytest.raises(ConfigError) as refused:
        parse(text, "gatewayd.toml", {})
    (problem,) = refused.value.problems
    assert problem.key == ("plans.free.quota.calls" if key == "quota" else f"routes.a.usage.{key}")
    assert problem.message.startswith(said)


@pytest.mark.parametrize("plan", ["-1", "0", "", "9" * 400, "free ", "Free", "\u0665"])
def test_an_account_gets_a_plan_of_the_configuration_and_no_other(tmp_path: Path, plan: str) -> None:
    config = configured(tmp_path)
    found = command("account", "set", "ann", "--plan", plan, "-c", config)
    assert found.exit_code == 2
    assert "no plan is called" in found.stderr
    assert not (tmp_path / "ledger.db").exists()
