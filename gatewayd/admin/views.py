"""What operators are shown, and who may look: anybody on loopback, elsewhere whoever has the token."""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import aiohttp_jinja2
import jinja2
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gatewayd.config.settings import Secret
from gatewayd.errors import Refusal, TokenInvalid
from gatewayd.identity.base import bearer_token
from gatewayd.keys import secret_bytes
from gatewayd.metrics import Tally

Status = Callable[[], Awaitable[Mapping[str, Any]]]
Counted = Callable[[], Awaitable[Tally]]

# The page has its style in itself and runs no script.
SECURITY: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Server": "gatewayd",
}


@dataclass(frozen=True, slots=True)
class RouteRow:
    """One line of the page's table."""

    route: str
    total: int
    refused: int
    failed: int


@dataclass(frozen=True, slots=True)
class AdminViews:
    """The pages, over what the daemon says of itself and what was counted."""

    status: Status
    counted: Counted

    async def page(self, request: web.Request) -> web.Response:
        """Everything at one look."""
        status = await self.status()
        rows = route_rows(await self.counted())
        context = {"status": status, "routes": rows, "verdict": verdict(status, rows)}
        return aiohttp_jinja2.render_template("page.html", request, context)

    async def as_json(self, _request: web.Request) -> web.Response:
        """The same for programs."""
        rows = [asdict(row) for row in route_rows(await self.counted())]
        return web.json_response({**await self.status(), "requests": rows})

    async def prometheus(self, _request: web.Request) -> web.Response:
        """The text format, version 0.0.4."""
        return web.Response(body=(await self.counted()).text(), headers={"Content-Type": "text/plain; version=0.0.4"})


def route_rows(counted: Tally) -> list[RouteRow]:
    """Requests by route: all, refused by us or the agent (4xx), failed (5xx)."""
    requests = counted.requests()
    return [
        RouteRow(
            name,
            sum(count for (route, _), count in requests.items() if route == name),
            sum(count for (route, code), count in requests.items() if route == name and 400 <= code < 500),
            sum(count for (route, code), count in requests.items() if route == name and code >= 500),
        )
        for name in sorted({route for route, _ in requests})
    ]


def verdict(status: Mapping[str, Any], rows: list[RouteRow]) -> str:
    """One sentence for somebody who was woken up."""
    if status["state"] != "serving":
        return f"The gateway is {status['state']}: {status['in_flight']} requests are still in flight."
    worst = max(rows, key=lambda row: row.failed, default=None)
    if worst is not None and worst.failed:
        return f"Serving; {worst.route} has failed most, {worst.failed} of its {worst.total} requests."
    return "Serving; no request has failed."


def guarded_by(token: Secret | None) -> Middleware:
    """Asks for the token if there is one (compared in constant time), and dresses every answer for a browser."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if token is not None and not _proves(request, token):
                raise web.HTTPUnauthorized(headers={"WWW-Authenticate": 'Bearer realm="gatewayd admin"'})
            response = await handler(request)
        except web.HTTPException as refusal:
            refusal.headers.update(SECURITY)
            raise
        response.headers.update(SECURITY)
        return response

    return guard


def _proves(request: web.Request, token: Secret) -> bool:
    try:
        sent = bearer_token(request.headers.getall("Authorization", ()))
    except TokenInvalid:
        return False
    return sent is not None and hmac.compare_digest(sent.encode(), secret_bytes(token.reveal()))


def malformed(_request: web.BaseRequest, refusal: Refusal) -> web.StreamResponse:
    """The answer to what was not HTTP: it says so, and quotes nothing."""
    return web.Response(status=refusal.status, text=refusal.title, headers=SECURITY)


def make_admin_app(views: AdminViews, token: Secret | None) -> web.Application:
    """The application of the admin listener."""
    app = web.Application(middlewares=[guarded_by(token)])
    aiohttp_jinja2.setup(app, loader=jinja2.PackageLoader("gatewayd.admin"), undefined=jinja2.StrictUndefined)
    app.router.add_get("/", views.page)
    app.router.add_get("/api/status", views.as_json)
    app.router.add_get("/metrics", views.prometheus)
    return app
