"""The rag agent over HTTP."""

import json
from typing import Any

import pytest
from aiohttp import FormData
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from gatewayd.demo.library import NOTHING_FOUND
from gatewayd.demo.rag import create_app

TEXT = "A quota resets at the first moment of the next month. A token expires after an hour."
Json = dict[str, Any]


async def upload(client: TestClient[Any, Any], text: bytes, name: str = "a.txt", user: str = "ada") -> tuple[int, Json]:
    form = FormData()
    form.add_field("file", text, filename=name)
    response = await client.post("/api/documents/upload", data=form, headers={"X-User-ID": user})
    return response.status, await response.json()


async def ask(client: TestClient[Any, Any], body: Json, user: str = "ada") -> Json:
    response = await client.post("/api/chat", json=body, headers={"X-User-ID": user})
    assert response.status == 200
    document: Json = await response.json()
    return document


async def test_an_uploaded_document_answers_questions(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(create_app())
    status, document = await upload(client, TEXT.encode())
    assert (status, document["title"], document["kind"], document["evicted"]) == (201, "a.txt", "text", [])
    reply = await ask(client, {"question": "When does a quota reset?"})
    assert reply["answer"] == "A quota resets at the first moment of the next month. [1]"
    assert reply["sources"][0]["document"] == document["id"]
    assert reply["usage"] == {"question_words": 5, "answer_words": 12, "passages": 1}


async def test_documents_are_listed_newest_first_and_deleted(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(create_app(now=lambda: 1_764_000_000.0))
    keys = [(await upload(client, TEXT.encode(), f"{name}.txt"))[1]["id"] for name in "ab"]
    headers = {"X-User-ID": "ada"}
    listed = await (await client.get("/api/documents", headers=headers)).json()
    assert ([each["id"] for each in listed["documents"]], listed["count"]) == (keys[::-1], 2)
    assert listed["documents"][0]["uploaded_at"] == "2025-11-24T16:00:00Z"
    assert (await client.delete(f"/api/documents/{keys[0]}", headers=headers)).status == 204
    assert (await client.delete(f"/api/documents/{keys[0]}", headers=headers)).status == 404


async def test_nobody_reads_or_deletes_another_users_documents(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(create_app())
    _, document = await upload(client, TEXT.encode())
    assert (await ask(client, {"question": "quota?"}, user="eve"))["answer"] == NOTHING_FOUND
    deleted = await client.delete(f"/api/documents/{document['id']}", headers={"X-User-ID": "eve"})
    assert deleted.status == 404


async def test_the_oldest_document_makes_room(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(create_app(documents=1))
    _, first = await upload(client, TEXT.encode())
    _, second = await upload(client, TEXT.encode())
    assert second["evicted"] == [first["id"]]


async def test_only_so_many_sources_are_given(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(create_app())
    for _ in range(3):
        await upload(client, TEXT.encode())
    assert len((await ask(client, {"question": "quota", "top_k": 2}))["sources"]) == 2


async def test_a_stream_gives_the_sources_the_answer_and_the_usage(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(create_app(token_delay=0))
    await upload(client, TEXT.encode(), user="anonymous")
    whole = await ask(client, {"question": "quota"}, user="anonymous")
    response = await client.post("/api/chat", json={"question": "quota", "stream": True})
    assert response.content_type == "text/event-stream"
    blocks = (await response.text()).removesuffix("\n\n").split("\n\n")
    events = [(block.splitlines()[0], json.loads(block.splitlines()[1].removeprefix("data: "))) for block in blocks]
    assert [name for name, _ in events] == [
        "event: sources",
        *["event: token"] * (len(events) - 2),
        "event: done",
    ]
    assert events[0][1] == {"sources": whole["sources"]}
    assert "".join(data["text"] for name, data in events if name == "event: token") == whole["answer"]
    assert events[-1][1] == {"usage": whole["usage"]}


async def test_each_event_leaves_when_it_is_made(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(create_app(token_delay=3600))
    async with client.post("/api/chat", json={"question": "quota", "stream": True}) as response:
        assert (await response.content.readline()) == b"event: sources\n"
        response.close()


@pytest.mark.parametrize(
    ("text", "name", "status"),
    [
        pytest.param(b"\x89PNG\0", "a.txt", 415, id="binary"),
        pytest.param(b"a", "a.exe", 415, id="unknown type"),
        pytest.param(b" \n ", "a.txt", 400, id="no text"),
        pytest.param(b"x" * 101, "a.txt", 413, id="too large"),
        pytest.param(
            b'[{"aaaaaaaaaaaaaaaaaaaaa":' + b"[" + b"1," * 20 + b"1]}]", "a.json", 413, id="too large as text"
        ),
    ],
)
async def test_bad_files_are_refused(aiohttp_client: AiohttpClient, text: bytes, name: str, status: int) -> None:
    client = await aiohttp_client(create_app(max_upload=100))
    answered, document = await upload(client, text, name)
    assert (answered, set(document["error"])) == (status, {"code", "message"})


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"question": 1}, id="question a number"),
        pytest.param({"question": " "}, id="question blank"),
        pytest.param({"question": "a", "top_k": 0}, id="no sources"),
        pytest.param({"question": "a", "top_k": 10**400}, id="endless sources"),
        pytest.param({"question": "a", "stream": "yes"}, id="stream a text"),
        pytest.param([], id="a list"),
    ],
)
async def test_bad_questions_are_refused(aiohttp_client: AiohttpClient, body: object) -> None:
    client = await aiohttp_client(create_app())
    assert (await client.post("/api/chat", json=body)).status == 400
