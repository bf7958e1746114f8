"""Every method of both clients, through a real gateway to the demo agents."""

import io
from pathlib import Path
from typing import Any

import gatewayd_sdk as sdk
import pytest

from gatewayd.demo.agents import AGENTS
from tests.sdk.clients import KINDS, each, entered, items, listed, using
from tests.sdk.gates import gate

pytestmark = pytest.mark.parametrize("kind", KINDS)


async def everything(client: Any, site: str) -> dict[str, Any]:
    """One call of every method, in an order that makes sense."""
    letter = await each(client.email.process("Please refund my invoice", subject="Invoice", sender="ann@example.org"))
    second = await each(client.email.process("There is an error"))
    ticket = await each(client.support.create_ticket("A subject", priority="high"))
    history = client.email.history(page_size=1)
    return {
        "letter": letter,
        "second": second,
        "reply": await each(client.email.respond(letter.id, tone="formal")),
        "letters": await listed(history),
        "history": history,
        "chat": await each(client.rag.chat("What is a gateway?")),
        "documents": await each(client.rag.list_documents()),
        "page": await each(client.scraper.scrape(site, selectors=["h2"])),
        "support": await each(client.support.chat("Where is my order?")),
        "ticket": ticket,
        "same": await each(client.support.get_ticket(ticket.id)),
        "diagnosis": await each(client.aiops.analyze({"cpu": [1, 2, 1, 2, 1, 2, 90]})),
        "usage": await each(client.usage.current()),
        "agents": await each(client.agents.list()),
        "any": await each(client.request("GET", "/api/email/history")),
        "raw": await each(client.with_raw_response.support.chat("Where is my order?")),
    }


async def test_every_method_works_through_a_gateway(kind: str, tmp_path: Path) -> None:
    async with gate(tmp_path) as (gateway, upstreams):
        site = upstreams["scraper"] + "/demo-site/"
        got = await using(kind, gateway.url, lambda client: everything(client, site), token=gateway.token())
        with pytest.raises(sdk.NotFoundError) as caught:
            await using(kind, gateway.url, lambda client: client.support.get_ticket("a/b"), token=gateway.token())
        with pytest.raises(sdk.AuthenticationError) as missing:
            await using(kind, gateway.url, lambda client: client.agents.list())
    assert got["letter"].category == "billing"
    assert got["letter"].sender == "ann@example.org"
    assert got["reply"].tone == "formal"
    assert [item.id for item in got["letters"]] == [got["second"].id, got["letter"].id]
    assert got["documents"].documents == ()
    assert got["page"].usage.quantity == 1
    assert got["same"].subject == "A subject"
    assert got["diagnosis"].status == "critical"
    assert {agent.name for agent in got["agents"].agents} == {agent.name for agent in AGENTS}
    assert got["usage"].user == "ann"
    assert got["chat"].usage.details["question_words"] == 4
    assert got["raw"].status == 200
    assert got["raw"].parse().intent == got["support"].intent
    counted = {name: result for name, result in got.items() if name not in ("letters", "usage", "agents")}
    assert all(result.rate_limit.remaining > 0 for result in counted.values())
    assert all(result.request_id and result.usage is not None for result in counted.values())
    assert caught.value.request_id
    assert missing.value.code == "token_missing"


async def test_an_answer_is_streamed_word_by_word_and_is_the_same_as_at_once(kind: str, tmp_path: Path) -> None:
    text = b"A gateway stands in front of agents. It counts what each caller spends."

    async def scenario(client: Any) -> Any:
        await each(client.rag.upload_document(text, filename="gateway.txt"))
        async with entered(client.rag.chat("What does a gateway count?", stream=True)) as stream:
            events = await listed(stream)
        gone_through = await listed(client.rag.chat("What does a gateway count?", stream=True))
        opened = await each(client.rag.chat("What does a gateway count?", stream=True))
        whole = await each(client.rag.chat("What does a gateway count?"))
        return stream, events, gone_through, await each(opened.result()), whole

    async with gate(tmp_path) as (gateway, _):
        stream, events, gone_through, result, whole = await using(kind, gateway.url, scenario, token=gateway.token())
        records = await gateway.records_when(5)
    assert [event.type for event in events][:2] == ["sources", "token"]
    assert events[-1].type == "done"
    assert events == gone_through
    assert stream.text.strip() == result.answer.strip() == whole.answer
    assert events[0].sources == result.sources == whole.sources
    assert stream.usage.details == whole.usage.details
    assert stream.request_id in {record["id"] for record in records}
    assert {record["outcome"] for record in records} == {"delivered"}


async def test_leaving_a_stream_ends_the_agents_work(kind: str, tmp_path: Path) -> None:
    async def scenario(client: Any) -> Any:
        await each(client.rag.upload_document(b"Many words about agents. " * 500, filename="agents.txt"))
        async with entered(client.rag.chat("agents", stream=True)) as stream:
            async for _ in items(stream):
                break
        return stream.request_id

    async with gate(tmp_path) as (gateway, _):
        request_id = await using(kind, gateway.url, scenario, token=gateway.token())
        record = await gateway.record_of(request_id)
    assert record["outcome"] == "client_closed"


@pytest.mark.parametrize("source", ["path", "bytes", "file", "pieces"])
async def test_a_document_is_taken_in_from_a_path_bytes_or_a_stream(kind: str, source: str, tmp_path: Path) -> None:
    text = ("Gateways count. " * 20_000).encode()
    path = tmp_path / 'a "quoted" näme.md'
    path.write_bytes(text)
    told: list[tuple[int, int | None]] = []

    async def scenario(client: Any) -> Any:
        given: Any = {
            "path": path,
            "bytes": text,
            "file": io.BytesIO(text),
            "pieces": (text[start : start + 1000] for start in range(0, len(text), 1000)),
        }[source]
        name = None if source == "path" else "notes.md"
        upload = client.rag.upload_document(
            given, title="Notes", filename=name, progress=lambda done, size: told.append((done, size))
        )
        return await each(upload), await each(client.rag.list_documents())

    async with gate(tmp_path) as (gateway, _):
        document, known = await using(kind, gateway.url, scenario, token=gateway.token())
    assert (document.title, document.kind, document.evicted) == ("Notes", "text", ())
    assert document.characters == pytest.approx(len(text), abs=2)
    assert [each_one.id for each_one in known.documents] == [document.id]
    assert told[-1] == (len(text), None if source == "pieces" else len(text))
    assert [done for done, _ in told] == sorted({done for done, _ in told})


async def test_a_conversation_goes_over_a_websocket(kind: str, tmp_path: Path) -> None:
    async def scenario(client: Any) -> Any:
        async with entered(client.support.connect()) as session:
            welcome = await each(session.receive(5))
            answer = await each(session.ask("Where is my order?", 5))
            with pytest.raises(sdk.APIResponseError, match="invalid_field"):
                await each(session.ask("", 5))
            again = await each(session.ask('{"type": "bye"}', 5))
            with pytest.raises(sdk.APITimeoutError, match="goes on"):
                await each(session.receive(0.01))
            third = await each(session.ask("Where is my order?", 5))
        with pytest.raises(sdk.APIConnectionError, match="session is over"):
            await each(session.send("more"))
        with pytest.raises(sdk.APIConnectionError, match="session is over"):
            await each(session.receive())
        return welcome, answer, again, third, session

    async with gate(tmp_path) as (gateway, _):
        welcome, answer, again, third, session = await using(kind, gateway.url, scenario, token=gateway.token())
        record = await gateway.record_of(session.request_id)
    assert welcome.type == "welcome"
    assert welcome.session == answer.session == third.session
    assert (answer.turn, answer.type) == (1, "message")
    assert answer.reply
    assert again.turn == 2
    assert session.rate_limit.remaining > 0
    assert record["outcome"] == "delivered"


async def test_a_refused_session_says_why(kind: str, tmp_path: Path) -> None:
    async with gate(tmp_path) as (gateway, _):
        with pytest.raises(sdk.AuthenticationError) as caught:
            await using(kind, gateway.url, lambda client: client.support.connect(), max_retries=0)
    assert caught.value.code == "token_missing"
    assert caught.value.request_id
