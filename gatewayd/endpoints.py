"""What the gateway answers itself on the public listener (contract, section 4). These paths do not count."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson
from aiohttp import web

from gatewayd.drain import DRAIN
from gatewayd.errors import Draining, MethodNotAllowed
from gatewayd.exchange import EXCHANGE, Exchange
from gatewayd.model import Balance, BillingPeriod
from gatewayd.policies.auth import AuthRule
from gatewayd.policies.quota import UsageRule
from gatewayd.proxy.rule import Forwarding
from gatewayd.routing import Route
from gatewayd.stores.base import Ledger

READY_PATIENCE: Final = 1.0
"""Seconds in which a ledger must answer to be called ready."""
METHODS: Final = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The rule of a path that the gateway answers itself."""

    handle: Callable[[web.Request], Awaitable[web.Response]]

    async def serve(self, request: web.Request) -> web.Response:
        """Raises MethodNotAllowed for anything but GET and HEAD."""
        if request.method not in METHODS:
            raise MethodNotAllowed(METHODS)
        return await self.handle(request)


def reply(exchange: Exchange, document: object, status: int = 200) -> web.Response:
    """A JSON answer of our own, never stored by anybody in between."""
    response = web.Response(status=status, body=orjson.dumps(document), content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    response.headers["Server"] = "gatewayd"
    exchange.tell_time()
    for name, value in exchange.fields:
        response.headers[name] = value
    return response


async def health(request: web.Request) -> web.Response:
    """Whether this process serves; 503 while it drains, so that a load balancer looks elsewhere."""
    if request.app[DRAIN].ready:
        return reply(request[EXCHANGE], {"status": "ok"})
    return _last(reply(request[EXCHANGE], {"status": "draining"}, 503))


def _last(response: web.Response) -> web.Response:
    """An answer on the way out: ask again elsewhere, on another connection."""
    response.headers["Retry-After"] = str(Draining.retry_after)
    response.force_close()
    return response


async def ready(request: web.Request) -> web.Response:
    """Whether new work is welcome here, and would be done: each thing it takes is looked at now."""
    exchange = request[EXCHANGE]
    stores = exchange.generation.stores
    checks = {
        "serving": request.app[DRAIN].ready,
        "ledger": await _answers(stores.ledger, BillingPeriod.at(exchange.started_at)),
        "accounts": stores.accounts.loaded,
    }
    is_ready = all(checks.values())
    response = reply(exchange, {"ready": is_ready, "checks": checks}, 200 if is_ready else 503)
    return response if is_ready else _last(response)


async def _answers(ledger: Ledger, period: BillingPeriod) -> bool:
    """Whether the ledger does what it is asked: when it refuses a question, it refuses holds too."""
    question = asyncio.ensure_future(ledger.balances("", period.name))
    try:
        await asyncio.wait({question}, timeout=READY_PATIENCE)
        return question.done() and question.exception() is None
    finally:
        question.cancel()


async def usage(request: web.Request) -> web.Response:
    """The caller's own balances, one per unit of the plan and per unit used."""
    exchange = request[EXCHANGE]
    identity = await exchange.identity()
    plan = exchange.plan(identity)
    period = BillingPeriod.at(exchange.started_at)
    balances = await exchange.generation.stores.ledger.balances(identity.user, period.name)
    quota = plan.quota if plan is not None else {}
    units = [balance.document() for balance in complete(identity.user, quota, balances, period)]
    return reply(exchange, {"user": identity.user, "plan": plan.name if plan is not None else None, "units": units})


def complete(user: str, quota: Mapping[str, int], balances: Sequence[Balance], period: BillingPeriod) -> list[Balance]:
    """The balances with the plan's present limits, and an empty one for each unit of the plan not used yet."""
    by_unit = {balance.unit: balance for balance in balances}
    empty = {unit: Balance(user, unit, period.name, limit, 0, 0) for unit, limit in quota.items()}
    return [
        Balance(user, unit, period.name, quota.get(unit, 0), balance.held, balance.spent)
        for unit, balance in sorted({**empty, **by_unit}.items())
    ]


async def agents(request: web.Request) -> web.Response:
    """What is behind this gateway: names, prefixes, methods and what a call costs; never an agent's address."""
    exchange = request[EXCHANGE]
    return reply(exchange, {"agents": [_agent(route) for route in exchange.generation.routes.routes]})


def _agent(route: Route) -> dict[str, object]:
    forwarding, usage_rule, auth = route.rule(Forwarding), route.rule(UsageRule), route.rule(AuthRule)
    return {
        "name": route.name,
        "prefix": route.prefix,
        "methods": list(forwarding.methods) if forwarding is not None else [],
        "usage": {"unit": usage_rule.unit, "cost": usage_rule.cost} if usage_rule is not None else None,
        "public": auth is not None and auth.public,
    }


_PUBLIC: Final = AuthRule(public=True)
OWN: Final[Mapping[str, Route]] = {
    path: Route.with_rules("", path, rules, own=True)
    for path, rules in {
        "/health": (Endpoint(health), _PUBLIC),
        "/ready": (Endpoint(ready), _PUBLIC),
        "/gateway/v1/usage": (Endpoint(usage), AuthRule()),
        "/gateway/v1/agents": (Endpoint(agents), AuthRule()),
    }.items()
}
