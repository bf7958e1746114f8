"""What is never forwarded is refused here, and the request gets its route, its caller's address and its trace."""

import re
from typing import Final

from gatewayd.drain import drain_of
from gatewayd.errors import (
    BadRequest,
    Crowded,
    Draining,
    HeadersTooLarge,
    RequestTimeout,
    UriTooLong,
    VersionUnsupported,
)
from gatewayd.exchange import Exchange
from gatewayd.forwarded import client_of, is_trusted
from gatewayd.framing import Head, check_size, line_size, read_head
from gatewayd.incoming import Incoming
from gatewayd.policies.base import Finding, Policy, gate, refused_with
from gatewayd.policies.crowding import CrowdRule

# https://www.w3.org/TR/trace-context/#traceparent-header: version 00, and the fields that later versions must keep
_TRACEPARENT: Final = re.compile(
    rb"(?!ff|00.{54})[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?"
)
# As a trace context has it, or as a UUID; anything else could not go on as one.
_TRACE_ID: Final = re.compile(rb"(?!0{32})(?:[0-9A-Fa-f]{32}|[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})")
_SAMPLED: Final = "01"
_REFUSALS: Final = {
    kind.code: kind.title
    for kind in (BadRequest, Crowded, Draining, HeadersTooLarge, RequestTimeout, UriTooLong, VersionUnsupported)
}
_CROWD_RULE: Final = CrowdRule  # not the compiler's, which would look for it in a dictionary
_OPAQUE_ID: Final = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")


def admit(exchange: Exchange) -> None:
    """Raises what the request is refused with."""
    _read(exchange)
    drain, route = drain_of(exchange.request.app), exchange.route
    if drain.began and not route.own:
        raise Draining
    most = exchange.generation.max_in_flight
    if most and drain.in_flight > most and not route.own:
        raise Crowded("The gateway has as many requests as it may.")
    if (crowding := route.rule(_CROWD_RULE)) is not None:
        crowding.enter(exchange)


def _read(exchange: Exchange) -> None:
    request, generation = exchange.request, exchange.generation
    target: str = request.raw_path
    limit = generation.max_header_bytes - line_size(exchange.method, target)
    # Which was judged when it was read; aiohttp's own requests have none.
    head = request.plain_head if isinstance(request, Incoming) else getattr(request, "plain_head", None)
    if head is None:
        head = read_head(request.raw_headers, request.version, limit)
    else:
        check_size(head, limit)
    exchange.head = head
    exchange.target, exchange.route = generation.routes.locate(target, head.host)
    trusted = generation.trusted_proxies
    if trusted and is_trusted(exchange.client, trusted):
        exchange.client = client_of(exchange.client, head, trusted)
        exchange.correlation_id = _opaque(head.only(b"x-request-id"))
    if b"traceparent" in head.named or b"x-trace-id" in head.named:
        _continue_trace(exchange, head)


def _continue_trace(exchange: Exchange, head: Head) -> None:
    """The caller's trace goes on if it names one; the state of a trace is nothing without it.

    It is anybody's to name, as it counts for nothing: no record, no limit and no charge is found by it.
    """
    if (sent := head.only(b"traceparent")) is not None and (match := _TRACEPARENT.fullmatch(sent)):
        exchange.trace(match[1].decode(), match[3].decode())
        exchange.parent_span = match[2].decode()
        head.copy([*head.lines, *[b"tracestate: " + value for value in head.named.get(b"tracestate", ())]])
    elif (named := head.only(b"x-trace-id")) is not None and _TRACE_ID.fullmatch(named):
        exchange.trace(named.replace(b"-", b"").lower().decode(), _SAMPLED)


def _opaque(value: bytes | None) -> str:
    return value.decode() if value is not None and _OPAQUE_ID.fullmatch(value) else ""


def decided(exchange: Exchange) -> Finding | None:
    """Whether the request was fit to be looked at, from whom it came and for which route."""
    untouched = not exchange.reached and not exchange.added  # no other policy has said anything
    if untouched and exchange.code in _REFUSALS:
        return refused_with(exchange, _REFUSALS[exchange.code].lower())
    route = exchange.route
    place = f"route {route.name}" if route.name else "the gateway's own" if route.own else "no route"
    return Finding("pass", f"{place}, from {exchange.client}")


POLICY: Final[Policy] = Policy("admission", gate(admit), decided=decided)
