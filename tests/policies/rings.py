"""One policy alone in a tiny application: pinned, with faults around it and admission before it."""

import asyncio
from collections.abc import Mapping
from typing import Any

import jwt
from aiohttp import web

from gatewayd.config.loading import parse
from gatewayd.config.settings import Settings
from gatewayd.drain import DRAIN, Drain
from gatewayd.endpoints import OWN
from gatewayd.exchange import EXCHANGE, Exchange
from gatewayd.generation import Generation, Stores
from gatewayd.identity.tokens import TokenVerifier
from gatewayd.pinning import Generations
from gatewayd.policies import POLICIES, admission, faults
from gatewayd.policies.access_log import REPORTERS
from gatewayd.policies.base import Handler, Policy
from gatewayd.routing import Route, RouteTable
from gatewayd.stores.base import Counters
from tests.clocks import ManualClock
from tests.patience import PATIENCE
from tests.standins import Accounts, AskedVerifier, BookLedger
from tests.stores.counters import small

SECRET = "a secret that only these tests know and nobody else"
AUTH = '[auth]\nsecret = { env = "SECRET" }\n'
EMAIL = '[routes.email]\nprefix = "/api/email"\nupstream = "http://127.0.0.1:9/api/email"\n'


def settings_of(text: str) -> Settings:
    return parse(AUTH + text, "test.toml", {"SECRET": SECRET}).settings


def table_of(settings: Settings) -> RouteTable:
    """Routes with the policies' rules and no way to an agent."""
    routes = [
        Route.with_rules(route.name, route.prefix, [policy.rule(settings, route) for policy in POLICIES])
        for route in settings.routes.values()
    ]
    unknown = Route.with_rules("", "", [policy.rule(settings, None) for policy in POLICIES])
    return RouteTable(routes, OWN, unknown)


class Ring:
    """A tiny application around the policies under test, and what stands behind it, for a test to look into."""

    def __init__(
        self,
        text: str,
        clock: ManualClock,
        *policies: Policy,
        counters: Counters | None = None,
        accounts: Mapping[str, str] | None = None,
    ) -> None:
        self.clock = clock
        self.settings = settings_of(text)
        self.ledger = BookLedger()
        self.accounts = Accounts(dict(accounts or {}))
        self.verifier = AskedVerifier(TokenVerifier(self.settings.auth, clock))
        self.drain = Drain()
        self.handler: Handler = self._fine
        self.seen: list[Exchange] = []
        self.reported: list[Exchange] = []
        self.generation = Generation(
            number=1,
            settings=self.settings,
            routes=table_of(self.settings),
            verifier=self.verifier,
            stores=Stores(counters or small(clock), self.ledger, self.accounts),
        )
        self.generations = Generations(self.generation, clock, self.drain)
        ring = [self.generations.pinning(), self._report, faults.POLICY.middleware, admission.POLICY.middleware]
        self.app = web.Application(middlewares=[*ring, *(policy.middleware for policy in policies)])
        self.app[DRAIN] = self.drain
        self.app[REPORTERS] = (self.reported.append,)
        self.app.router.add_route("*", "/{path:.*}", self._handle)

    @web.middleware
    async def _report(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.seen.append(request[EXCHANGE])
        return await handler(request)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        return await self.handler(request)

    async def _fine(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text="fine", headers=dict(request[EXCHANGE].fields))

    def token(self, user: str = "ann", **claims: Any) -> str:
        now = self.clock.utc()
        return jwt.encode({"sub": user, "iat": now, "exp": now + 3600, **claims}, SECRET, "HS256")

    def bearer(self, user: str = "ann", **claims: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(user, **claims)}"}


async def until(event: asyncio.Event) -> None:
    async with asyncio.timeout(PATIENCE):
        await event.wait()
