"""The support agent over HTTP and WebSocket."""

import asyncio
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from gatewayd.demo.support import SUBPROTOCOL, create_app

Client = TestClient[Any, Any]
Json = dict[str, Any]
ADA = {"X-User-ID": "ada"}


@pytest.fixture
async def client(aiohttp_client: AiohttpClient) -> Client:
    return await aiohttp_client(create_app())


async def chat(client: Client, message: str, session: str | None = None, user: str = "ada") -> Json:
    body = {"message": message, "session": session}
    response = await client.post("/api/chat", json=body, headers={"X-User-ID": user})
    assert response.status == 200
    document: Json = await response.json()
    return document


async def test_a_session_goes_on(client: Client) -> None:
    first = await chat(client, "hello")
    second = await chat(client, "refund", first["session"])
    assert (second["session"], second["turn"], second["intent"]) == (first["session"], 2, "billing")


async def test_a_session_belongs_to_its_user(client: Client) -> None:
    session = (await chat(client, "hello"))["session"]
    assert (await chat(client, "hello", session, user="eve"))["turn"] == 1


async def test_a_ticket_is_opened_read_changed_and_closed(client: Client) -> None:
    body = {"subject": "Late", "description": "Order 48213", "priority": "high"}
    opened = await client.post("/api/tickets", json=body, headers=ADA)
    ticket = await opened.json()
    path = f"/api/tickets/{ticket['id']}"
    assert (opened.status, ticket["status"]) == (201, "open")
    changed = await client.patch(path, json={"status": "closed", "comment": "done"}, headers=ADA)
    assert (await changed.json())["history"][-1]["what"] == "comment: done"
    assert (await (await client.get(path, headers=ADA)).json())["status"] == "closed"
    assert (await client.patch(path, json={"priority": "low"}, headers=ADA)).status == 409
    assert (await client.get(path, headers={"X-User-ID": "eve"})).status == 404


async def test_tickets_come_in_pages_and_by_status(client: Client) -> None:
    keys = []
    for subject in ("one", "two", "three"):
        response = await client.post("/api/tickets", json={"subject": subject}, headers=ADA)
        keys.append((await response.json())["id"])
    await client.patch(f"/api/tickets/{keys[0]}", json={"status": "resolved"}, headers=ADA)
    page = await (await client.get("/api/tickets?limit=2", headers=ADA)).json()
    assert [each["id"] for each in page["items"]] == [keys[2], keys[1]]
    rest = await (await client.get(f"/api/tickets?cursor={page['next_cursor']}", headers=ADA)).json()
    assert [each["id"] for each in rest["items"]] == [keys[0]]
    resolved = await (await client.get("/api/tickets?status=resolved", headers=ADA)).json()
    assert [each["id"] for each in resolved["items"]] == [keys[0]]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        pytest.param("POST", "/chat", {}, 400, id="no message"),
        pytest.param("POST", "/chat", {"message": ["a"]}, 400, id="message a list"),
        pytest.param("POST", "/chat", {"message": "x" * 4_001}, 400, id="message too long"),
        pytest.param("POST", "/chat", {"message": "a", "session": 1}, 400, id="session a number"),
        pytest.param("POST", "/tickets", {"description": "a"}, 400, id="no subject"),
        pytest.param("POST", "/tickets", {"subject": "a", "priority": "most"}, 400, id="unknown priority"),
        pytest.param("POST", "/tickets", 5, 400, id="a number"),
        pytest.param("GET", "/tickets?status=lost", None, 400, id="unknown status"),
        pytest.param("GET", "/tickets/TCK-0", None, 404, id="unknown ticket"),
        pytest.param("PATCH", "/tickets/TCK-0", {"status": "open"}, 404, id="change of an unknown ticket"),
        pytest.param("PATCH", "/tickets/TCK-0", {}, 400, id="change of nothing"),
        pytest.param("PATCH", "/tickets/TCK-0", {"status": "lost"}, 400, id="change to an unknown status"),
        pytest.param("GET", "/ws", None, 400, id="a WebSocket without its handshake"),
    ],
)
async def test_bad_requests_are_refused(client: Client, method: str, path: str, body: object, status: int) -> None:
    response = await client.request(method, f"/api{path}", json=body)
    assert response.status == status
    assert set((await response.json())["error"]) == {"code", "message"}


async def connected(client: Client) -> ClientWebSocketResponse:
    socket = await client.ws_connect("/api/ws", protocols=("other", SUBPROTOCOL), headers=ADA)
    assert (await socket.receive_json())["type"] == "welcome"
    return socket


async def say(socket: ClientWebSocketResponse, text: str) -> Json:
    await socket.send_str(text)
    reply: Json = await socket.receive_json()
    return reply


async def test_a_socket_speaks_the_subprotocol_and_keeps_its_session(client: Client) -> None:
    socket = await connected(client)
    assert socket.protocol == SUBPROTOCOL
    plain = await say(socket, "Where is my refund?")
    typed = await say(socket, '{"type": "message", "message": "please open a ticket"}')
    assert (plain["type"], plain["intent"], plain["turn"]) == ("message", "billing", 1)
    assert (typed["session"], typed["turn"]) == (plain["session"], 2)
    shown = await client.get(f"/api/tickets/{typed['ticket']['id']}", headers=ADA)
    assert shown.status == 200


async def test_pings_of_both_kinds_are_answered(client: Client) -> None:
    socket = await client.ws_connect("/api/ws", autoping=False)
    await socket.receive_json()
    await socket.ping(b"there?")
    pong = await socket.receive()
    assert (pong.type, pong.data) == (WSMsgType.PONG, b"there?")
    assert await say(socket, '{"type": "ping"}') == {"type": "pong"}


@pytest.mark.parametrize(
    "text",
    ["{", '{"type": "message"}', '{"type": 5}', '{"message": 5}', "  ", "x" * 4_001, '{"message": NaN}'],
)
async def test_a_bad_message_is_told_and_the_conversation_goes_on(client: Client, text: str) -> None:
    socket = await connected(client)
    assert set((await say(socket, text))["error"]) == {"code", "message"}
    assert (await say(socket, "hello"))["turn"] == 1


async def test_bytes_are_refused(client: Client) -> None:
    socket = await connected(client)
    await socket.send_bytes(b"hello")
    assert (await socket.receive_json())["error"]["code"] == "text_only"


async def test_bye_closes_the_socket_cleanly(client: Client) -> None:
    socket = await connected(client)
    assert await say(socket, '{"type": "bye"}') == {"type": "bye"}
    assert (await socket.receive()).type is WSMsgType.CLOSE
    assert socket.close_code == 1000


async def test_the_agent_says_that_it_goes_away(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(create_app())
    socket = await connected(client)
    frame, _ = await asyncio.gather(socket.receive(), client.server.close())
    assert (frame.type, frame.data) == (WSMsgType.CLOSE, 1001)


async def test_only_so_many_sockets_are_open(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(create_app(sockets=1))
    first = await connected(client)
    assert (await client.get("/api/ws")).status == 503
    await say(first, '{"type": "bye"}')
    await first.receive()
    await connected(client)
