"""The email agent over HTTP."""

from io import BytesIO
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from gatewayd.demo.api import MAX_BODY
from gatewayd.demo.email import create_app

RAW = "From: Ada <ada@example.org>\nSubject: Refund\nMessage-ID: <1@x>\n\nPlease refund $5 for order 48213.\n"
Json = dict[str, Any]


async def process(client: TestClient[Any, Any], body: Json, user: str = "ada") -> Json:
    response = await client.post("/api/email/process", json=body, headers={"X-User-ID": user})
    assert response.status == 200
    document: Json = await response.json()
    return document


async def history(client: TestClient[Any, Any], query: str = "", user: str = "ada") -> Json:
    response = await client.get(f"/api/email/history{query}", headers={"X-User-ID": user})
    assert response.status == 200
    document: Json = await response.json()
    return document


@pytest.mark.parametrize("content_type", ["message/rfc822", "text/plain; charset=utf-8"])
async def test_a_raw_message_is_processed(aiohttp_client: AiohttpClient, content_type: str) -> None:
    client = await aiohttp_client(create_app(now=lambda: 1_764_000_000.0))
    headers = {"Content-Type": content_type}
    found = await (await client.post("/api/email/process", data=RAW.encode(), headers=headers)).json()
    assert found["id"].startswith("msg_")
    assert (found["from"], found["category"], found["received_at"]) == (
        "ada@example.org",
        "billing",
        "2025-11-24T16:00:00Z",
    )
    assert found["entities"]["order_numbers"] == ["48213"]


async def test_a_raw_message_and_its_parts_in_json_are_the_same_letter(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(create_app())
    raw = await process(client, {"message": RAW})
    parts = await process(
        client,
        {"from": "ada@example.org", "subject": "Refund", "body": "Please refund $5 for order 48213."},
    )
    assert {**raw, "id": "", "message_id": ""} == {**parts, "id": "", "received_at": raw["received_at"]}


async def test_a_processed_message_is_answered_by_its_id(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(create_app())
    key = (await process(client, {"message": RAW}, user="anonymous"))["id"]
    response = await client.post("/api/email/respond", json={"id": key, "tone": "formal"})
    draft = await response.json()
    assert (draft["id"], draft["send"], draft["headers"]["In-Reply-To"]) == (key, True, "<1@x>")
    assert draft["body"].startswith("Dear Ada,")


async def test_a_message_is_answered_at_once_and_kept(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(create_app())
    draft = await (await client.post("/api/email/respond", json={"message": RAW})).json()
    assert draft["category"] == "billing"
    assert [item["id"] for item in (await history(client, user="anonymous"))["items"]] == [draft["id"]]


async def test_another_users_message_is_unknown(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(create_app())
    key = (await process(client, {"message": RAW}))["id"]
    response = await client.post("/api/email/respond", json={"id": key}, headers={"X-User-ID": "eve"})
    assert response.status == 404
    assert (await history(client, user="eve"))["items"] == []


async def test_history_comes_in_pages_newest_first(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(create_app())
    keys = [(await process(client, {"body": f"letter {number}"}))["id"] for number in range(3)]
    first = await history(client, "?limit=2")
    rest = await history(client, f"?limit=2&cursor={first['next_cursor']}")
    assert [item["id"] for item in first["items"] + rest["items"]] == keys[::-1]
    assert rest["next_cursor"] is None


async def test_history_is_filtered_by_category(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(create_app())
    await process(client, {"body": "refund"})
    await process(client, {"body": "nothing much"})
    assert [item["category"] for item in (await history(client, "?category=billing"))["items"]] == ["billing"]


async def test_history_is_bounded(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(create_app(kept=2))
    for number in range(4):
        await process(client, {"body": f"letter {number}"})
    assert [item["preview"] for item in (await history(client))["items"]] == ["letter 3", "letter 2"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        pytest.param("/process", {}, 400, id="nothing"),
        pytest.param("/process", {"message": 1}, 400, id="message a number"),
        pytest.param("/process", {"message": "hello"}, 400, id="no RFC 5322 message"),
        pytest.param("/process", {"body": ""}, 400, id="empty body"),
        pytest.param("/process", {"body": ["a"]}, 400, id="body a list"),
        pytest.param("/process", {"body": "a", "subject": {}}, 400, id="subject an object"),
        pytest.param("/process", {"body": "a", "from": "x" * 400}, 400, id="from too long"),
        pytest.param("/process", ["a"], 400, id="a list"),
        pytest.param("/respond", {}, 400, id="respond to nothing"),
        pytest.param("/respond", {"id": 5}, 400, id="id a number"),
        pytest.param("/respond", {"id": "msg_0"}, 404, id="unknown id"),
        pytest.param("/respond", {"body": "a", "tone": "rude"}, 400, id="unknown tone"),
    ],
)
async def test_bad_requests_are_refused(aiohttp_client: AiohttpClient, path: str, body: object, status: int) -> None:
    client = await aiohttp_client(create_app())
    response = await client.post(f"/api/email{path}", json=body)
    assert response.status == status
    assert set((await response.json())["error"]) == {"code", "message"}


async def test_a_letter_past_the_limit_is_refused(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(create_app())
    response = await client.post("/api/email/process", data=BytesIO(b"Subject: s\n\n" + b"x" * MAX_BODY))
    assert response.status == 413


@pytest.mark.parametrize("query", ["?limit=0", "?limit=x", "?cursor=-1", "?category=secrets"])
async def test_bad_queries_are_refused(aiohttp_client: AiohttpClient, query: str) -> None:
    client = await aiohttp_client(create_app())
    assert (await client.get(f"/api/email/history{query}")).status == 400
