"""The pages: their figures are those of the calls that were made, and nothing on them is what a caller made of it."""

import html
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gatewayd.clock import SystemClock
from gatewayd.model import BillingPeriod
from tests.admin.ledgers import fill_with_users
from tests.agents import answering, raw_agent
from tests.gateways import RunningGateway, running_gateway
from tests.problems import ask

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BROKEN = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
LARGE = 10_000_000
HOSTILE = "<script>alert(1)</script>"
LIMITED = """
[plans.free]
default = true
quota = { api_calls = 10 }
"""


async def call(
    gateway: RunningGateway, session: aiohttp.ClientSession, user: str | None = "ann", count: int = 1
) -> None:
    for _ in range(count):
        await ask(session, gateway.url + "/api/email/x", gateway.bearer(user) if user is not None else {})


def figure(page: str, row: str, name: str) -> str:
    """What a table's row says."""
    found = re.search(rf'id="{row}".*?data-figure="{name}">([^<]*)<', page, re.DOTALL)
    assert found is not None, (row, name)
    return found[1]


async def test_page_json_and_metrics_say_the_same(tmp_path: Path) -> None:
    async with (
        raw_agent(answering(BROKEN)) as agent,
        running_gateway(tmp_path, agent.url) as gateway,
        aiohttp.ClientSession() as session,
    ):
        await call(gateway, session, count=3)
        await call(gateway, session, None, count=2)
        document = (await ask(session, gateway.admin_url + "/api/overview")).json
        page = (await ask(session, gateway.admin_url + "/")).body.decode()
        metrics = (await ask(session, gateway.admin_url + "/metrics")).body.decode()
    assert document["ended"] == {"requests": 5, "refused": 2, "failed": 3}
    assert document["refusals"] == [{"code": "token_missing", "total": 2, "lately": 2}]
    assert 'id="ended">5</span>' in page
    assert 'id="failed">3</span>' in page
    assert figure(page, "agent-email", "requests") == "5"
    assert figure(page, "agent-email", "failed") == "3"
    assert figure(page, "refusal-token_missing", "total") == "2"
    assert 'gatewayd_requests_total{code="500",method="GET",route="email"} 3.0' in metrics
    assert 'gatewayd_rejected_total{reason="token_missing"} 2.0' in metrics
    assert document["verdict"]["sentence"].startswith("email answers with errors of its own, since ")
    assert document["verdict"]["sentence"] in html.unescape(page)


async def test_a_page_without_calls_says_so(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, "http://127.0.0.1:9") as gateway, aiohttp.ClientSession() as session:
        page = (await ask(session, gateway.admin_url + "/")).body.decode()
    for words in ("nobody called in the last minute", "no calls yet", "No request has failed.", "Nothing was refused."):
        assert words in page


async def test_a_user_called_like_markup_is_text_on_every_page(tmp_path: Path) -> None:
    async with (
        raw_agent(answering(BROKEN)) as agent,
        running_gateway(tmp_path, agent.url, general=LIMITED) as gateway,
        aiohttp.ClientSession() as session,
    ):
        await call(gateway, session, HOSTILE)
        await gateway.settled()
        overview = (await ask(session, gateway.admin_url + "/api/overview")).json
        request_id = overview["failures"][0]["request_id"]
        paths = ("/", "/usage", f"/requests/{request_id}", "/usage/user?user=%3Cscript%3Ealert(1)%3C/script%3E")
        pages = [
            (await ask(session, gateway.admin_url + path)).body.decode() for path in (*paths, "/usage?user=%3Cb%3E")
        ]
    assert overview["failures"][0]["user"] == HOSTILE
    for page in pages:
        assert "<script>alert" not in page
        assert "<b>" not in page.replace("<b>the agent", "").replace("<b>api", "") or "&lt;" in page
    assert all(html.escape(HOSTILE) in page for page in pages[:4])
    assert 'value="&lt;b&gt;"' in pages[4]


async def test_agents_that_answer_with_ten_megabytes_of_error_page_make_no_page_larger(tmp_path: Path) -> None:
    large = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: %d\r\n\r\n" % LARGE + b"x" * LARGE
    async with (
        raw_agent(answering(large)) as agent,
        running_gateway(tmp_path, agent.url) as gateway,
        aiohttp.ClientSession() as session,
    ):
        before = len((await ask(session, gateway.admin_url + "/")).body)
        await call(gateway, session, count=3)
        page = await ask(session, gateway.admin_url + "/")
        document = await ask(session, gateway.admin_url + "/api/overview")
    assert document.json["ended"]["failed"] == 3
    assert len(page.body) < before + 10_000
    assert len(document.body) < 20_000
    assert b"xxxx" not in page.body + document.body


async def test_without_scripts_the_page_can_be_had_again_by_itself(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, "http://127.0.0.1:9") as gateway, aiohttp.ClientSession() as session:
        plain = (await ask(session, gateway.admin_url + "/")).body.decode()
        again = (await ask(session, gateway.admin_url + "/?refresh=10")).body.decode()
        other = (await ask(session, gateway.admin_url + "/?refresh=0;url=http://evil")).body.decode()
    assert '<a href="/">Refresh</a>, <a href="/?refresh=10">every 10 s</a>' in plain
    assert '<meta http-equiv="refresh" content="10">' in again
    assert "http-equiv" not in plain
    assert "http-equiv" not in other


async def test_the_usage_page_is_by_user_agent_and_day_with_limits(tmp_path: Path) -> None:
    async with (
        raw_agent(answering(OK)) as agent,
        running_gateway(tmp_path, agent.url, general=LIMITED) as gateway,
        aiohttp.ClientSession() as session,
    ):
        await call(gateway, session, "ann", 4)
        await call(gateway, session, "bob", 10)
        await gateway.settled()
        page = text_of(await ask(session, gateway.admin_url + "/usage"))
        filtered = text_of(await ask(session, gateway.admin_url + "/usage?user=an"))
        user = text_of(await ask(session, gateway.admin_url + "/usage/user?user=ann"))
        nobody = text_of(await ask(session, gateway.admin_url + "/usage/user?user=nobody"))
        first = gateway.daemon._clock.utc()
    assert "bob free api_calls 10 0 10 100 %" in page
    assert "ann free api_calls 4 0 10 40 %" in page
    assert "email api_calls 14 0 14" in page
    assert f"{BillingPeriod.at(first).name}" in page
    assert "ann free" in filtered
    assert "bob" not in filtered
    assert "4 spent of 10 40 %" in user
    assert "email api_calls 4 0 4" in user
    assert "Nothing was used in this month." in nobody


def text_of(answer: Any) -> str:
    """What is to be read on a page."""
    assert answer.status == 200
    plain = re.sub(r"<(svg|title|head).*?</\1>|<[^>]*>", " ", answer.body.decode(), flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(plain))


async def test_many_users_are_shown_a_page_at_a_time(tmp_path: Path) -> None:
    async with (
        raw_agent(answering(OK)) as agent,
        running_gateway(tmp_path, agent.url, general=LIMITED) as gateway,
        aiohttp.ClientSession() as session,
    ):
        for number in range(60):
            await call(gateway, session, f"user-{number:02}")
        await gateway.settled()
        first = (await ask(session, gateway.admin_url + "/usage")).body.decode()
        second = (await ask(session, gateway.admin_url + "/usage?page=1")).body.decode()
    users = [set(re.findall(r">(user-\d\d)<", page)) for page in (first, second)]
    assert (len(users[0]), len(users[1]), len(users[0] | users[1])) == (50, 10, 60)
    assert 'rel="next" href="/usage?period=' in first
    assert 'rel="prev"' in second
    assert 'rel="next"' not in second


async def test_a_request_that_nobody_remembers_is_not_found_and_says_where_to_look(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, "http://127.0.0.1:9") as gateway, aiohttp.ClientSession() as session:
        page = await ask(session, gateway.admin_url + "/requests/" + "x" * 300)
    assert page.status == 404
    assert b"gatewayd ledger export" in page.body
    assert b"x" * 65 not in page.body


@pytest.mark.parametrize("path", ["/usage", "/usage/user?user=ann"])
async def test_a_ledger_that_cannot_be_read_is_said_on_the_page(tmp_path: Path, path: str) -> None:
    async with running_gateway(tmp_path, "http://127.0.0.1:9") as gateway, aiohttp.ClientSession() as session:
        (tmp_path / "ledger.db").rename(tmp_path / "elsewhere.db")
        page = await ask(session, gateway.admin_url + path)
        (tmp_path / "elsewhere.db").rename(tmp_path / "ledger.db")
    assert page.status == 503
    assert b"does not exist: start the daemon once" in page.body


async def test_a_hundred_thousand_users_make_no_page_larger_and_a_table_whole(tmp_path: Path) -> None:
    users = 100_000
    period = BillingPeriod.at(SystemClock().utc()).name
    await fill_with_users(tmp_path, [f"user-{number:06}" for number in range(users)], period)
    async with (
        running_gateway(tmp_path, "http://127.0.0.1:9", general=LIMITED) as gateway,
        aiohttp.ClientSession() as session,
    ):
        first = await ask(session, gateway.admin_url + "/usage")
        last = await ask(session, gateway.admin_url + f"/usage?page={users // 50 - 1}")
        now = await ask(session, gateway.admin_url + "/")
        document = await ask(session, gateway.admin_url + "/api/overview")
        table = await ask(session, gateway.admin_url + "/usage.csv")
    assert "1 to 50 of 100,000" in text_of(first)
    assert "99,951 to 100,000 of 100,000" in text_of(last)
    assert max(len(each.body) for each in (first, last, now, document)) < 150_000
    assert len(document.json["nearest"]["users"]) <= 10
    lines = table.body.decode().splitlines()
    assert len(lines) == users + 1
    assert len({line.partition(",")[0] for line in lines}) == users + 1
