"""Who may come in: a proved caller with one of the route's roles and all of its scopes; anybody on a public route."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final

from gatewayd.config.settings import RouteSettings, Settings
from gatewayd.errors import Refusal, RoleDenied, ScopeDenied, TokenExpired, TokenInvalid, TokenMissing
from gatewayd.exchange import Exchange
from gatewayd.model import Identity
from gatewayd.policies.base import Case, Finding, Policy, gate, refused, refused_with


@dataclass(frozen=True, slots=True)
class AuthRule:
    public: bool = False
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()

    def judge(self, identity: Identity) -> None:
        """Raises RoleDenied or ScopeDenied."""
        if (self.roles or self.scopes) and (denial := self.denial(identity)) is not None:
            raise denial

    def denial(self, identity: Identity) -> Refusal | None:
        """Why this caller may not come in; None if nothing stands against it."""
        if self.roles and not self.roles & identity.roles:
            return RoleDenied()
        if not self.scopes <= identity.scopes:
            return ScopeDenied(sorted(self.scopes))
        return None


_STRICT: Final = AuthRule()
_REFUSALS: Final = {
    TokenMissing.code: "no token was sent",
    TokenInvalid.code: "the token was not accepted",
    TokenExpired.code: "the token has expired",
    RoleDenied.code: "none of the token's roles is allowed here",
    ScopeDenied.code: "the token lacks a scope that is needed here",
}


def admit(exchange: Exchange) -> Awaitable[None] | None:
    """Raises what the caller is refused with."""
    rule = exchange.rule(AuthRule) or _STRICT
    if rule.public:
        return None
    if (identity := exchange.known()) is None:
        return _prove(exchange, rule)
    rule.judge(identity)
    return None


async def _prove(exchange: Exchange, rule: AuthRule) -> None:
    rule.judge(await exchange.identity())


def rule(_settings: Settings, route: RouteSettings | None) -> AuthRule:
    """What no route claims asks for a token too: only a proved caller learns which routes there are."""
    return AuthRule(route.public, frozenset(route.roles), frozenset(route.scopes)) if route is not None else AuthRule()


def explain(case: Case) -> Finding | None:
    """Whether the caller may come in."""
    found = case.route.rule(AuthRule) or _STRICT
    if found.public:
        return Finding("pass", "the route is public")
    if case.identity is None:
        return refused(case.refusal or TokenMissing())
    if (denial := found.denial(case.identity)) is not None:
        return refused(denial, _needed(found, denial))
    return Finding("pass", _proved(case.identity))


def _needed(rule: AuthRule, denial: Refusal) -> str:
    if isinstance(denial, RoleDenied):
        return f"one of these roles is needed: {', '.join(sorted(rule.roles))}"
    return f"each of these scopes is needed: {', '.join(sorted(rule.scopes))}"


def _proved(identity: Identity) -> str:
    """Everything of the token that somebody may be judged or seen by."""
    words = f"the token proves {identity.user}"
    if identity.tenant is not None:
        words += f" of {identity.tenant}"
    if identity.service is not None:
        words += f", for whom {identity.service} calls in run {identity.run}"
    return words


def decided(exchange: Exchange) -> Finding | None:
    """Who was let in, or why not."""
    if (reason := _REFUSALS.get(exchange.code)) is not None:
        return refused_with(exchange, reason)
    if exchange.proved is not None:
        return Finding("pass", _proved(exchange.proved))
    return Finding("pass", "the route is public")


POLICY: Final[Policy] = Policy("auth", gate(admit), rule, explain, decided)
