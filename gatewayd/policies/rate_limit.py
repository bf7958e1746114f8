"""How often a caller may ask: a proved one is counted by user, any other by address. All windows give, or none."""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from gatewayd.config.settings import RouteSettings, Settings
from gatewayd.errors import RateLimited, StoreUnavailable
from gatewayd.exchange import Exchange
from gatewayd.forwarded import address_group
from gatewayd.model import Bundle, Identity, Rate, Tally, Window
from gatewayd.numerals import numeral
from gatewayd.policies.base import Case, Finding, Policy, gate, refused_with
from gatewayd.remembering import remember

_CALLERS_KEPT: Final = 8_192
"""Callers whose windows are remembered, of all routes together; each takes some 3 KB."""
_LEAST_KEPT: Final = 1_024
"""So many on each route, however many routes there are."""
_SECOND: Final = 1_000_000_000  # nanoseconds


@dataclass(frozen=True, slots=True, eq=False)
class RateLimitRule:
    """Rates of users in general, of users on a plan, of unproved callers, and of anyone on one route."""

    users: tuple[Rate, ...]
    plans: Mapping[str, tuple[Rate, ...]]
    addresses: tuple[Rate, ...]
    route: tuple[Rate, ...] = ()
    route_name: str = ""
    users_known: dict[str, "_Windows"] = field(default_factory=dict, repr=False)
    """Whose windows were asked for, under the plan of then; emptied when it is full. Likewise those of addresses."""
    addresses_known: dict[str, "_Windows"] = field(default_factory=dict, repr=False)
    most_known: int = _CALLERS_KEPT
    """So many of either."""

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


class _Windows(Bundle):
    """What a call of one caller takes from, and what is said of it in every answer: `begin` is before the states."""

    __slots__ = ("_line", "_numbers", "begin", "names", "plan")

    def __init__(self, plan: str | None, each: list[Window]) -> None:
        super().__init__(each)
        self.plan = plan
        # Tuples, which the collector leaves alone: there are as many as callers.
        self.names = tuple([f'{", " if number else ""}"{window.name}";r=' for number, window in enumerate(each)])
        policy = ", ".join([f'"{w.name}";q={w.rate.limit};w={w.rate.seconds}' for w in each])
        self.begin = f"RateLimit-Policy: {policy}\r\nRateLimit: "
        self._numbers: list[int] | None = None  # of the line: of each window what remains, and for how long
        self._line = ""

    def said(self) -> str:
        """The fields that tell what the windows say, written only where that is something else than the last time."""
        numbers, same = self._numbers, True
        if numbers is None:  # who comes once has none
            numbers = self._numbers = [-1] * (2 * len(self.each))
        at = 0
        for window in self.each:
            left, seconds = window.remaining, (window.refilled_in + _SECOND - 1) // _SECOND
            if numbers[at] != left or numbers[at + 1] != seconds:
                numbers[at], numbers[at + 1], same = left, seconds, False
            at += 2
        if not same:
            self._line = self._written(numbers)
        return self._line

    def _written(self, numbers: list[int]) -> str:
        line = self.begin
        for index, name in enumerate(self.names):
            line = f"{line}{name}{numeral(numbers[2 * index])};t={numeral(numbers[2 * index + 1])}"
        return line + "\r\n"


def admit(exchange: Exchange) -> Awaitable[None] | None:
    """Raises RateLimited."""
    if (rule := exchange.rule(RateLimitRule)) is None:
        return None
    identity = exchange.known()
    if identity is None:
        return _prove(exchange, rule)
    return _take(exchange, _windows_of(exchange, rule, identity), exchange.started)  # that was just now


async def _prove(exchange: Exchange, rule: RateLimitRule) -> None:
    """Who is calling has to be found out first."""
    windows = _windows_of(exchange, rule, await exchange.caller())
    if (waiting := _take(exchange, windows, exchange.clock.monotonic())) is not None:
        await waiting


def _windows_of(exchange: Exchange, rule: RateLimitRule, identity: Identity | None) -> _Windows:
    """Who calls now calls again soon."""
    if identity is None:
        return _found(rule.addresses_known, exchange.client, None) or _keep(
            rule, rule.addresses_known, exchange.client, _Windows(None, rule.windows(None, None, exchange.client))
        )
    user, plan = identity.user, exchange.plan(identity)
    name = plan.name if plan is not None else None
    return _found(rule.users_known, user, name) or _keep(
        rule, rule.users_known, user, _Windows(name, rule.windows(user, name, ""))
    )


def _found(known: dict[str, _Windows], caller: str, plan: str | None) -> _Windows | None:
    windows = known.get(caller)
    return windows if windows is not None and windows.plan == plan else None


def _keep(rule: RateLimitRule, known: dict[str, _Windows], caller: str, windows: _Windows) -> _Windows:
    remember(known, caller, windows, rule.most_known)
    return windows


def _take(exchange: Exchange, windows: _Windows, now: float) -> Awaitable[None] | None:
    """What the windows say goes out with whatever answer there will be."""
    if not windows.each:
        return None
    counters = exchange.generation.counters
    if counters.take_in_passing(windows, now):
        exchange.added += windows.said()
        return None
    tallies = counters.take_at_once(windows.each, now)
    if tallies is None:
        return _wait_and_take(exchange, windows)
    _tell(exchange, windows, tallies)
    return None


async def _wait_and_take(exchange: Exchange, windows: _Windows) -> None:
    _tell(exchange, windows, await exchange.generation.counters.take(windows.each))


def _tell(exchange: Exchange, windows: _Windows, tallies: Sequence[Tally]) -> None:
    """In the fields of draft-ietf-httpapi-ratelimit-headers; `t` is rounded up to seconds."""
    said = exchange.added + windows.begin
    admitted = True
    for index, name in enumerate(windows.names):
        tally = tallies[index]
        said = f"{said}{name}{numeral(tally.remaining)};t={numeral(_whole(tally.resets_in))}"
        admitted = admitted and tally.admitted
    exchange.added = said + "\r\n"
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
        most_known=max(_LEAST_KEPT, _CALLERS_KEPT // max(1, len(settings.routes))),
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


POLICY: Final[Policy] = Policy("rate_limit", gate(admit), rule, explain, decided)
