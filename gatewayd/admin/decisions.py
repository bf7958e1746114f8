"""What was decided of a request that has ended: each policy in its own words, then the router and the agent."""

from collections.abc import Iterator

from gatewayd.errors import MethodNotAllowed, RouteUnknown
from gatewayd.exchange import Exchange
from gatewayd.policies import POLICIES
from gatewayd.policies.base import Finding, refused_with


def decisions(exchange: Exchange) -> list[tuple[str, Finding]]:
    """Who decided and what, in order, up to the refusal that was the answer."""
    found = []
    for name, finding in _in_order(exchange):
        found.append((name, finding))
        if not finding.passes:
            break
    return found


def _in_order(exchange: Exchange) -> Iterator[tuple[str, Finding]]:
    for policy in POLICIES:
        if (finding := policy.decided(exchange)) is not None:
            yield policy.name, finding
    yield "router", _router(exchange)
    if not exchange.route.own:
        yield "agent", _agent(exchange)


def _router(exchange: Exchange) -> Finding:
    method = exchange.method
    if exchange.code == RouteUnknown.code:
        return refused_with(exchange, "no route has this path")
    if exchange.code == MethodNotAllowed.code:
        return refused_with(exchange, f"{method} is not allowed here")
    return Finding("pass", f"{method} is allowed")


def _agent(exchange: Exchange) -> Finding:
    took = f"after {_milliseconds(exchange.reached or exchange.started, exchange.ended)}"
    if not exchange.reached:
        return refused_with(exchange, f"was not called: given up {took}")
    began = _milliseconds(exchange.reached, exchange.first_byte)
    head = f"its answer began after {began}" if exchange.first_byte else ""
    if not exchange.code:
        return Finding(f"{exchange.status}", f"{head}, ended {took}")
    return refused_with(exchange, f"{head}, broke off {took}" if head else f"no answer {took}")


def _milliseconds(start: float, end: float) -> str:
    return f"{(end - start) * 1000:,.1f} ms"
