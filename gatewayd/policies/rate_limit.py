"""How often a caller may ask: a proved one is counted by user, any other by address. All windows give, or none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from aiohttp import web

from gatewayd.config.settings import RouteSettings, Settings
from gatewayd.errors import RateLimited, StoreUnavailable
from gatewayd.exchange import EXCHANGE, Exchange
from gatewayd.forwarded import address_group
from gatewayd.model import Rate, Tally, Window
from gatewayd.policies.base import Case, Finding, Handler, Policy, middleware, refused_with

_CALLERS_KEPT: Final = 8_192


@dataclass(frozen=True, slots=True, eq=False)
class RateLimitRule:
    """Rates of users in general, of users on a plan, of unproved callers, and of anyone on one route."""

    users: tuple[Rate, ...]
    plans: Mapping[str, tuple[Rate, ...]]
    addresses: tuple[Rate, ...]
    route: tuple[Rate, ...] = ()
    route_name: str = ""

    def windows(self, user: str | None, plan: str | None, address: str) -> list[Window]:
        """Every window that a call of this caller takes from."""
        if user is None:
            caller, kind = f"address:{address_group(address)}", "address"
            rates = self.addresses
        else:
            caller, kind = f"user:{user}", "user"
            rates = self.plans.get(plan, self.users) if plan is not None else self.users
        # One caller's keys begin alike, in braces, which is where Redis Cluster finds the shard. What follows the
        # last brace is ours, so no two windows share a key, whatever a user is called.
        general = [Window(f"{{{caller}}}{rate.period}", f"{kind}-{rate.period}", rate) for rate in rates]
        here = f"{{{caller}}}{self.route_name}"
        return general + [Window(f"{here}:{rate.period}", f"route-{rate.period}", rate) for rate in self.route]


@middleware
async def rate_limit(request: web.Request, handler: Handler) -> web.StreamResponse:
    exchange = request[EXCHANGE]
    if (rule := exchange.rule(RateLimitRule)) is not None:
        identity = exchange.known() or await exchange.caller()
        if identity is None:
            windows, policy = _usual_windows(rule, None, None, exchange.client)
        else:
            plan = exchange.plan(identity)
            windows, policy = _usual_windows(rule, identity.user, plan.name if plan is not None else None, "")
        if windows:
            await _take(exchange, windows, policy)
    return await handler(request)


@lru_cache(_CALLERS_KEPT)
def _usual_windows(
    rule: RateLimitRule, user: str | None, plan: str | None, address: str
) -> tuple[Sequence[Window], str]:
    """The windows, and what is said of them in every answer: who calls now calls again soon."""
    windows = rule.windows(user, plan, address)
    return windows, ", ".join([f'"{w.name}";q={w.rate.limit};w={w.rate.seconds}' for w in windows])


async def _take(exchange: Exchange, windows: Sequence[Window], policy: str) -> None:
    """Raises RateLimited; what the windows say goes out with whatever answer there will be.

    In the fields of draft-ietf-httpapi-ratelimit-headers; `t` is rounded up to seconds.
    """
    counters = exchange.generation.stores.counters
    tallies = counters.take_at_once(windows)
    if tallies is None:
        tallies = await counters.take(windows)
    _tell(exchange, windows, tallies, policy)


def _tell(exchange: Exchange, windows: Sequence[Window], tallies: Sequence[Tally], policy: str) -> None:
    states = []
    admitted = True
    for window, tally in zip(windows, tallies, strict=True):
        states.append(f'"{window.name}";r={tally.remaining};t={_whole(tally.resets_in)}')
        admitted = admitted and tally.admitted
    exchange.fields += (("RateLimit-Policy", policy), ("RateLimit", ", ".join(states)))
    if not admitted:
        raise RateLimited(retry_after=max(1, _whole(max(tally.retry_in for tally in tallies))))


def _whole(seconds: float) -> int:
    """Rounded up; math.ceil would be a call of Python's where the rest is compiled."""
    cut = int(seconds)
    return cut + 1 if cut < seconds else cut


def rule(settings: Settings, route: RouteSettings | None) -> RateLimitRule:
    """Every route is limited, and so are paths that no route claims: guessing is not free."""
    return RateLimitRule(
        users=settings.rate_limit.limits,
        plans={plan.name: plan.rate_limit for plan in settings.plans.values() if plan.rate_limit is not None},
        addresses=settings.rate_limit.unauthenticated,
        route=route.rate_limit if route is not None else (),
        route_name=route.name if route is not None else "",
    )


def explain(case: Case) -> Finding | None:
    """Which windows the call takes from; how full they are, only the running daemon knows."""
    if (found := case.route.rule(RateLimitRule)) is None:
        return Finding("pass", "the gateway's own endpoints do not count")
    user = case.identity.user if case.identity is not None else None
    windows = found.windows(user, case.plan.name if case.plan is not None else None, "client")
    counted = "by user" if user is not None else "by client address"
    rates = ", ".join(f"{w.name} {w.rate.limit}/{w.rate.period} burst {w.rate.burst}" for w in windows)
    return Finding("pass", f"counted {counted}: {rates or 'no limit'}")


def decided(exchange: Exchange) -> Finding | None:
    """What the windows said; a call that took from none of them was not limited, or nobody could say."""
    windows = next((value for name, value in exchange.fields if name == "RateLimit"), "")
    if exchange.code == RateLimited.code:
        return refused_with(exchange, f"a window is used up: {windows}")
    if windows:
        return Finding("pass", windows)
    if exchange.code == StoreUnavailable.code and not exchange.unit and exchange.rule(RateLimitRule) is not None:
        return refused_with(exchange, "the counters cannot be used")
    return Finding("pass", "no window holds here")


POLICY: Final[Policy] = Policy("rate_limit", rate_limit, rule, explain, decided)
