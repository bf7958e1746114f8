"""Who may come in: a proved caller with one of the route's roles; nobody is asked on a public route."""

from dataclasses import dataclass
from typing import Final

from aiohttp import web

from gatewayd.config.settings import RouteSettings, Settings
from gatewayd.errors import RoleDenied
from gatewayd.exchange import EXCHANGE
from gatewayd.policies.base import Handler, Policy


@dataclass(frozen=True, slots=True)
class AuthRule:
    public: bool = False
    roles: frozenset[str] = frozenset()


_STRICT: Final = AuthRule()


@web.middleware
async def auth(request: web.Request, handler: Handler) -> web.StreamResponse:
    exchange = request[EXCHANGE]
    rule = exchange.rule(AuthRule) or _STRICT
    if not rule.public:
        identity = await exchange.identity()
        if rule.roles and not rule.roles & identity.roles:
            raise RoleDenied
    return await handler(request)


def rule(_settings: Settings, route: RouteSettings | None) -> AuthRule:
    """What no route claims asks for a token too: only a proved caller learns which routes there are."""
    return AuthRule(route.public, frozenset(route.roles)) if route is not None else AuthRule()


POLICY: Final = Policy("auth", auth, rule)
