"""What a call costs: units are held before the agent is called and settled when the answer ends."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final

from gatewayd.config.settings import Charge, Charged, RouteSettings, Settings
from gatewayd.errors import QuotaExhausted, StoreUnavailable
from gatewayd.exchange import Exchange
from gatewayd.model import Balance, BillingPeriod, Hold, Holding, Identity, Outcome, Plan
from gatewayd.policies.base import Case, Finding, Policy, gate, refused, refused_with
from gatewayd.stores.base import Ledger


@dataclass(frozen=True, slots=True)
class UsageRule:
    """`cost` units of `unit` a call; with `maximum`, that many are held and an agent's own figure is capped by it."""

    route: str
    unit: str
    cost: int
    maximum: int | None
    charge: Charge
    public: bool

    @property
    def to_hold(self) -> int:
        return self.cost if self.maximum is None else self.maximum

    def charged(self, outcome: Outcome, stated: int | None) -> int:
        """Units charged for a call that reached the agent (the table of contract section 7)."""
        quantity = self.cost if stated is None else stated
        if self.maximum is not None:
            quantity = min(quantity, self.maximum)
        if outcome is Outcome.FAILED:
            return _resolve(self.charge.failed, quantity)
        if outcome is Outcome.CLIENT_CLOSED:
            return _resolve(self.charge.client_closed, quantity)
        return quantity


def _resolve(charged: Charged, quantity: int) -> int:
    return quantity if charged == "cost" else charged


def admit(exchange: Exchange) -> Awaitable[None] | None:
    """What is held is settled when the exchange concludes. Raises QuotaExhausted and StoreUnavailable."""
    rule = exchange.rule(UsageRule)
    if rule is None:
        return None
    identity = exchange.known()
    if identity is None:
        return _prove(exchange, rule)
    return _hold(exchange, rule, identity, exchange.started)  # that was just now


async def _prove(exchange: Exchange, rule: UsageRule) -> None:
    """Who is calling has to be found out first."""
    identity = await exchange.caller()
    if identity is None and not rule.public:
        return  # authentication refuses; nothing is held for a name that was not proved
    if (waiting := _hold(exchange, rule, identity, exchange.clock.monotonic())) is not None:
        await waiting


def _hold(exchange: Exchange, rule: UsageRule, identity: Identity | None, now: float) -> Awaitable[None] | None:
    plan = exchange.plan(identity) if identity is not None else None
    if plan is None and not rule.public:
        raise no_plan(rule, exchange.started_at)
    hold = Hold(
        id=exchange.request_id,
        user_id=identity.user if identity is not None else "",
        plan=plan.name if plan is not None else "",
        agent=rule.route,
        route=rule.route,
        unit=rule.unit,
        units=rule.to_hold,
        limit=plan.quota.get(rule.unit, 0) if plan is not None else 0,
        cost=rule.cost,
        started_at=exchange.started_at,
    )
    holding = exchange.generation.ledger.hold_at_once(hold, now)
    if holding is None:
        return _wait_and_hold(exchange, rule, hold)
    _held(exchange, rule, hold, holding)
    return None


async def _wait_and_hold(exchange: Exchange, rule: UsageRule, hold: Hold) -> None:
    _held(exchange, rule, hold, await exchange.generation.ledger.hold(hold))


def _held(exchange: Exchange, rule: UsageRule, hold: Hold, holding: Holding) -> None:
    if not holding.granted:
        raise _exhausted(hold, holding.balance.held + holding.balance.spent)
    exchange.unit = rule.unit
    exchange.on_conclusion(_Settling(exchange.generation.ledger, hold, rule))


def no_plan(rule: UsageRule, utc: float) -> QuotaExhausted:
    """A user without any plan bought nothing, so nothing can be charged."""
    period = BillingPeriod.at(utc)
    detail = "No plan is known for this user, so nothing can be charged."
    return QuotaExhausted(unit=rule.unit, limit=0, used=0, plan=None, resets_at=period.resets_at, detail=detail)


def _exhausted(hold: Hold, used: int) -> QuotaExhausted:
    return QuotaExhausted(
        unit=hold.unit,
        limit=hold.limit,
        used=used,
        plan=hold.plan,
        resets_at=BillingPeriod.at(hold.started_at).resets_at,
    )


class _Settling:
    """Turns the hold into a record, or frees it if no agent was reached."""

    __slots__ = ("_hold", "_ledger", "_rule")

    def __init__(self, ledger: Ledger, hold: Hold, rule: UsageRule) -> None:
        self._ledger = ledger
        self._hold = hold
        self._rule = rule

    def __call__(self, exchange: Exchange) -> Awaitable[None] | None:
        hold = self._hold
        if exchange.void or not exchange.reached:
            return self._ledger.release(hold.id)
        outcome = exchange.outcome or Outcome.FAILED
        exchange.quantity = self._rule.charged(outcome, exchange.stated)
        record = hold.record(
            quantity=exchange.quantity,
            outcome=outcome,
            status=exchange.status,
            ended_at=exchange.clock.utc(),
            bytes_in=exchange.bytes_in,
            bytes_out=exchange.bytes_out,
        )
        return self._ledger.settle(record)


def rule(_settings: Settings, route: RouteSettings | None) -> UsageRule | None:
    if route is None:
        return None
    usage = route.usage
    return UsageRule(route.name, usage.unit, usage.cost, usage.max, route.charge, route.public)


def explain(case: Case) -> Finding | None:
    """What the call would hold, and whether the balance covers it."""
    found = case.route.rule(UsageRule)
    if found is None:
        return Finding("pass", "nothing is charged here")
    if case.plan is not None:
        return _explain_hold(found, case.plan, case.balances.get(found.unit))
    if found.public:
        return Finding("pass", "recorded, not limited")
    if case.identity is None:
        return Finding("pass", "nothing is held for a caller who is not proved")
    return refused(no_plan(found, 0.0))


def _explain_hold(found: UsageRule, plan: Plan, balance: Balance | None) -> Finding:
    limit = plan.quota.get(found.unit, 0)
    used = balance.held + balance.spent if balance is not None else 0
    say = f"holds {found.to_hold} {found.unit} on plan {plan.name}: "
    if not limit:
        return Finding("pass", say + "not limited, recorded")
    decision = "402 quota_exhausted" if used + found.to_hold > limit else "pass"
    return Finding(decision, f"{say}{used} of {limit} are used")


def decided(exchange: Exchange) -> Finding | None:
    """What was held and what was charged, or why nothing was held."""
    found = exchange.rule(UsageRule)
    if found is None:
        return Finding("pass", "nothing is charged here")
    if exchange.unit:
        return Finding("pass", f"held {found.to_hold} {found.unit}, charged {exchange.quantity}")
    if exchange.code == QuotaExhausted.code:
        return refused_with(exchange, f"{found.to_hold} {found.unit} do not fit into the quota")
    if exchange.code == StoreUnavailable.code:
        return refused_with(exchange, "the ledger cannot be asked for units")
    return Finding("pass", "nothing is held for a caller who is not proved")


POLICY: Final[Policy] = Policy("quota", gate(admit), rule, explain, decided)
