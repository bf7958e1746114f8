"""How every demo agent speaks: JSON objects in, JSON out, each error as `{"error": {"code", "message"}}`."""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from gatewayd.demo.fields import Fault, Fields, parse_object

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ANONYMOUS: Final = "anonymous"
MAX_BODY: Final = 1024 * 1024
_REFUSALS: Final = {
    400: ("bad_request", "the request cannot be understood"),
    404: ("not_found", "there is nothing at this address"),
    405: ("method_not_allowed", "the method is not allowed here"),
    413: ("body_too_large", "the body is too large"),
}


async def read_body(request: web.Request) -> bytes:
    """The whole body; raises `Fault` when its content coding cannot be undone."""
    try:
        return await request.read()
    except web.RequestPayloadError as error:
        raise Fault(400, "invalid_body", "the body cannot be read: check its Content-Encoding") from error


async def read_fields(request: web.Request) -> Fields:
    return Fields(parse_object(await read_body(request)))


def query_integer(request: web.Request, name: str, *, default: int, low: int, high: int) -> int:
    """A whole number from the query string; raises `Fault` when it is not one within the bounds."""
    text = request.query.get(name, str(default))
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None
    return Fields({name: value}).integer(name, default=default, low=low, high=high)


def answer(document: Mapping[str, object], status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        text=json.dumps(document, allow_nan=False) + "\n",
        status=status,
        headers=headers,
        content_type="application/json",
    )


def user_of(request: web.Request) -> str:
    """Who is calling, as the gateway says; whoever reaches an agent past the gateway is anonymous."""
    return request.headers.get("X-User-ID") or ANONYMOUS


def rfc3339(seconds: float) -> str:
    """Seconds since the epoch as a UTC date and time."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


@web.middleware
async def faults(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns refusals, the framework's own included, into JSON."""
    try:
        return await handler(request)
    except Fault as fault:
        return answer({"error": fault.document}, fault.status)
    except web.HTTPException as refusal:
        code, message = _REFUSALS.get(refusal.status, ("refused", refusal.reason))
        headers = {"Allow": refusal.headers["Allow"]} if "Allow" in refusal.headers else None
        return answer({"error": {"code": code, "message": message}}, refusal.status, headers)


def application(
    agent: str, base: str, routes: Iterable[tuple[str, str, Handler]], *, max_body: int = MAX_BODY
) -> web.Application:
    """An agent's application: `routes` are (method, path after `base`, handler); `GET {base}/health` is added."""

    async def health(_: web.Request) -> web.Response:
        return answer({"status": "ok", "agent": agent})

    app = web.Application(middlewares=[faults], client_max_size=max_body)
    app.router.add_get(f"{base}/health", health)
    for method, path, handler in routes:
        app.router.add_route(method, base + path, handler)
    return app
