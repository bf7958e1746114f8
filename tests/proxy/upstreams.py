"""An address to call without a gateway around it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gatewayd.proxy.answer import AnswerHead
from gatewayd.proxy.call import Call
from gatewayd.proxy.connector import AgentConnector
from gatewayd.proxy.upstream import Upstream

ASK = b"GET / HTTP/1.1\r\nHost: agent\r\n\r\n"


@asynccontextmanager
async def upstream_at(port: int, path: str = "") -> AsyncIterator[Upstream]:
    connector = AgentConnector(limit=0, keepalive_timeout=15.0)
    async with connector:
        yield Upstream(f"http://127.0.0.1:{port}{path}", connector, asyncio.get_running_loop())


async def ask(upstream: Upstream, *, bodiless: bool = False, request: bytes = ASK) -> tuple[Call, AnswerHead]:
    """A call whose answer has begun."""
    call = await upstream.connect(5)
    call.expect(bodiless=bodiless)
    call.send(request)
    return call, await call.answer()
