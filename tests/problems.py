"""What every answer of the gateway's own owes its caller (contract, section 4)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestClient
from yarl import URL

Client = TestClient[web.Request, web.Application]
MEMBERS = {"type", "title", "status", "detail", "instance", "code", "request_id", "agent"}


@dataclass(frozen=True)
class Answered:
    """An answer that was read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.body)
        return document

    def problem(self, status: int, code: str, *, unsaid: str = "") -> dict[str, Any]:
        """The problem document, after a look at all that is alike in every refusal; `unsaid` must not be quoted."""
        document, request_id = self.json, self.headers["X-Request-ID"]
        assert (self.status, document["code"], document["status"]) == (status, code, status)
        assert self.headers["Content-Type"] == "application/problem+json"
        assert self.headers["Cache-Control"] == "no-store"
        assert self.headers["Server"] == "gatewayd"
        assert set(document) >= MEMBERS
        assert document["request_id"] == request_id
        assert document["instance"] == f"urn:gatewayd:request:{request_id}"
        assert document["type"] == f"urn:gatewayd:problem:{code}"
        assert document["title"]
        assert document["detail"]
        if unsaid:
            assert unsaid not in self.body.decode()
            assert unsaid not in str(self.headers)
        return document


async def ask(
    client: Client | aiohttp.ClientSession,
    path: str | URL,
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "GET",
    data: Any = None,
) -> Answered:
    """The whole answer to one request."""
    async with client.request(method, path, headers=headers, data=data) as response:
        return Answered(response.status, response.headers, await response.read())
