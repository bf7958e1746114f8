"""What happens to a request: this file is the answer.

It is pinned to a generation, goes through the ring of policies, and is answered by one of the gateway's own
endpoints or by an agent.
"""

from collections.abc import Awaitable, Sequence

from aiohttp import web

from gatewayd.drain import DRAIN, Drain
from gatewayd.edge.connection import Malformed
from gatewayd.endpoints import Endpoint
from gatewayd.errors import Refusal
from gatewayd.exchange import exchange_of, whole_of
from gatewayd.incoming import Asked
from gatewayd.pinning import Generations
from gatewayd.policies import POLICIES
from gatewayd.policies.access_log import REPORTERS, Reporter, tell
from gatewayd.problem import answer
from gatewayd.proxy.forward import forward
from gatewayd.ring import HEART
from gatewayd.tracing import Spans


def serve(request: Asked) -> Awaitable[web.StreamResponse]:
    """The heart of the ring."""
    if (endpoint := exchange_of(request).rule(Endpoint)) is not None:
        return endpoint.serve(whole_of(request))
    return forward(request)


async def _handle(request: web.Request) -> web.StreamResponse:
    return await serve(request)


async def _expect(_request: web.Request) -> None:
    """100 Continue is sent when the agent is there to take the body, not before (RFC 9110 section 10.1.1)."""


def make_app(
    generations: Generations, drain: Drain, reporters: Sequence[Reporter], spans: Spans | None = None
) -> web.Application:
    """The application of the public listener; without `spans`, none are made."""
    ring = spans.around(POLICIES) if spans is not None else [policy.middleware for policy in POLICIES]
    app = web.Application(middlewares=[generations.pinning(), *ring])
    app[DRAIN] = drain
    app[HEART] = serve
    app[REPORTERS] = tuple(reporters)
    app.router.add_route("*", r"/{path:[\s\S]*}", _handle, expect_handler=_expect)
    return app


def malformed(generations: Generations, reporters: Sequence[Reporter]) -> Malformed:
    """How requests are answered that are too broken to enter the ring: alike, and they are logged too."""
    told = tuple(reporters)

    def refuse(request: web.BaseRequest, refusal: Refusal) -> web.StreamResponse:
        exchange = generations.begin(request)
        exchange.refused(refusal)
        tell(told, exchange)
        return answer(exchange, refusal)

    return refuse
