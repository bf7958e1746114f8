"""The support agent: answers customers over HTTP and WebSocket, and keeps their tickets."""

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Final

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from gatewayd.demo.api import answer, application, read_fields, user_of
from gatewayd.demo.conversations import Conversation
from gatewayd.demo.fields import Fault, Fields, parse_object
from gatewayd.demo.shelves import Recent, requested_page
from gatewayd.demo.tickets import PRIORITIES, STATUSES, Desk

BASE: Final = "/api"
SUBPROTOCOL: Final = "support.v1"
_MOST_MESSAGE: Final = 4_000
_MOST_FRAME: Final = 64 * 1024
_SESSIONS_OF_A_USER: Final = 20
_SOCKETS: Final = web.AppKey("sockets", set[web.WebSocketResponse])


def create_app(
    *,
    now: Callable[[], float] = time.time,
    tickets: int = 100,
    users: int = 200,
    sockets: int = 500,
    heartbeat: float = 30.0,
) -> web.Application:
    """The agent, mounted under `BASE`; it keeps `tickets` of each of the `users` seen last.

    Up to `sockets` WebSockets are open at once, each pinged every `heartbeat` seconds.
    """
    agent = _SupportAgent(now, tickets, users, sockets, heartbeat)
    routes = [
        ("POST", "/chat", agent.chat),
        ("POST", "/tickets", agent.open_ticket),
        ("GET", "/tickets", agent.list_tickets),
        ("GET", "/tickets/{id}", agent.show_ticket),
        ("PATCH", "/tickets/{id}", agent.update_ticket),
        ("GET", "/ws", agent.talk),
    ]
    app = application("support", BASE, routes)
    app[_SOCKETS] = set()
    app.on_shutdown.append(_close_sockets)
    return app


async def _close_sockets(app: web.Application) -> None:
    """Tells everyone who is connected that the agent goes away (RFC 6455 section 7.4.1)."""
    closing = [socket.close(code=WSCloseCode.GOING_AWAY) for socket in app[_SOCKETS]]
    await asyncio.gather(*closing, return_exceptions=True)


class _SupportAgent:
    def __init__(self, now: Callable[[], float], tickets: int, users: int, sockets: int, heartbeat: float) -> None:
        self._desks = Recent(lambda _: Desk(tickets, now), users)
        self._sessions = Recent(lambda _: Recent(Conversation, _SESSIONS_OF_A_USER), users)
        self._most_sockets = sockets
        self._heartbeat = heartbeat

    def _desk(self, request: web.Request) -> Desk:
        return self._desks.of(user_of(request))

    async def chat(self, request: web.Request) -> web.Response:
        fields = await read_fields(request)
        message = fields.text("message", most=_MOST_MESSAGE)
        session = fields.optional_text("session", most=100) or _new_session()
        conversation = self._sessions.of(user_of(request)).of(session)
        return answer(conversation.answer(message, self._desk(request)).document)

    async def open_ticket(self, request: web.Request) -> web.Response:
        fields = await read_fields(request)
        subject = fields.text("subject", most=200)
        description = fields.optional_text("description", most=_MOST_MESSAGE) or ""
        priority = fields.choice("priority", PRIORITIES, "normal")
        ticket = self._desk(request).open(subject, description, priority)
        return answer(ticket.document, 201)

    async def list_tickets(self, request: web.Request) -> web.Response:
        status = Fields(dict(request.query)).choice("status", ("", *STATUSES), "")
        page = requested_page(request, self._desk(request).shelf, lambda ticket: status in ("", ticket.status))
        return answer({"items": [ticket.document for ticket in page.items], "next_cursor": page.next_cursor})

    async def show_ticket(self, request: web.Request) -> web.Response:
        return answer(self._desk(request).get(request.match_info["id"]).document)

    async def update_ticket(self, request: web.Request) -> web.Response:
        fields = await read_fields(request)
        if not any(name in fields for name in ("status", "priority", "comment")):
            raise Fault(400, "invalid_field", "at least one of status, priority and comment is required")
        ticket = self._desk(request).update(
            request.match_info["id"],
            status=fields.choice("status", ("", *STATUSES), ""),
            priority=fields.choice("priority", ("", *PRIORITIES), ""),
            comment=fields.optional_text("comment", most=_MOST_MESSAGE) or "",
        )
        return answer(ticket.document)

    async def talk(self, request: web.Request) -> web.StreamResponse:
        open_sockets = request.app[_SOCKETS]
        if len(open_sockets) >= self._most_sockets:
            raise Fault(503, "too_many_connections", "too many conversations are open: try again later")
        socket = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,), heartbeat=self._heartbeat, max_msg_size=_MOST_FRAME, timeout=2.0
        )
        await socket.prepare(request)
        open_sockets.add(socket)
        try:
            await self._serve(socket, self._desk(request))
        finally:
            open_sockets.discard(socket)
        return socket

    async def _serve(self, socket: web.WebSocketResponse, desk: Desk) -> None:
        conversation = Conversation(_new_session())
        await socket.send_json({"type": "welcome", "session": conversation.session})
        async for frame in socket:
            reply = _reply(frame, conversation, desk)
            await socket.send_json(reply)
            if reply["type"] == "bye":
                await socket.close(code=WSCloseCode.OK)


def _new_session() -> str:
    return f"ses_{secrets.token_hex(8)}"


def _reply(frame: WSMessage, conversation: Conversation, desk: Desk) -> dict[str, object]:
    """The answer to one frame, a refusal included: nothing that is sent ends the conversation."""
    try:
        fields = _fields(frame)
        kind = fields.choice("type", ("message", "ping", "bye"), "message")
        if kind == "message":
            return {
                "type": kind,
                **conversation.answer(fields.text("message", most=_MOST_MESSAGE), desk).document,
            }
        return {"type": "pong" if kind == "ping" else kind}
    except Fault as fault:
        return {"type": "error", "error": fault.document}


def _fields(frame: WSMessage) -> Fields:
    """A JSON object says its type; any other text is a message."""
    if frame.type is not WSMsgType.TEXT:
        raise Fault(400, "text_only", "send text, plain or JSON")
    text: str = frame.data
    return Fields(parse_object(text.encode()) if text.lstrip()[:1] == "{" else {"message": text})
