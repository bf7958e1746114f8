"""Who may come in: a proved caller with one of the route's roles; nobody is asked on a public route."""

from dataclasses import dataclass
from typing import Final

from aiohttp import web

from gatewayd.config.settings import RouteSettings, Settings
from gatewayd.errors import RoleDenied, TokenMissing
from gatewayd.exchange import EXCHANGE
from gatewayd.policies.base import Case, Finding, Handler, Policy, refused


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


def explain(case: Case) -> Finding | None:
    """Whether the caller may come in."""
    found = case.route.rule(AuthRule) or _STRICT
    if found.public:
        return Finding("pass", "the route is public")
    if case.identity is None:
        return refused(case.refusal or TokenMissing())
    if found.roles and not found.roles & case.identity.roles:
        return refused(RoleDenied(), f"one of these roles is needed: {', '.join(sorted(found.roles))}")
    return Finding("pass", f"the token proves {case.identity.user}")


POLICY: Final = Policy("auth", auth, rule, explain)
