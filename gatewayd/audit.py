"""The audit log: whom the gateway refused and why, and what operators did, who and from where. One JSON line each."""

from collections.abc import Mapping
from typing import Final

import orjson

from gatewayd.errors import (
    ClientClosed,
    InternalError,
    UpstreamConnect,
    UpstreamProtocol,
    UpstreamReset,
    UpstreamTimeout,
)
from gatewayd.exchange import Exchange
from gatewayd.model import rfc3339
from gatewayd.outlets import LinesLost, open_outlet

# Nobody decided these: an agent failed, the gateway did, or the caller left.
_NOT_DECIDED: Final = frozenset(
    kind.code
    for kind in (ClientClosed, InternalError, UpstreamConnect, UpstreamProtocol, UpstreamReset, UpstreamTimeout)
)


def is_refusal(exchange: Exchange) -> bool:
    """Whether the gateway said no, at the beginning or (a revocation, a drain's end) in the middle."""
    return exchange.code != "" and exchange.code not in _NOT_DECIDED


def refusal_line(exchange: Exchange) -> bytes:
    """Who was refused what, as far as it is known. No token, no query, no body is in it."""
    identity = exchange.proved
    plan = exchange.plan(identity) if identity is not None else None
    return _line(
        {
            "time": rfc3339(exchange.started_at),
            "event": "refused",
            "code": exchange.code,
            "status": exchange.status,
            "request_id": exchange.request_id,
            "trace_id": exchange.trace_id,
            "client": exchange.client,
            "user": identity.user if identity is not None else None,
            "plan": plan.name if plan is not None else None,
            "method": exchange.method,
            "path": exchange.target.path or None,
            "route": exchange.route.name or None,
            "generation": exchange.generation.number,
        }
    )


def action_line(
    utc: float, action: str, subject: Mapping[str, object], *, by: str, origin: str, result: str = "done"
) -> bytes:
    """What an operator did: `by` names the account or the kind of proof, `origin` the address or "command line".

    `subject` is what it was done to, and never a secret; it cannot say anything else about who did what.
    """
    known = {"time": rfc3339(utc), "event": "action", "action": action, "by": by, "from": origin, "result": result}
    return _line(known | {name: value for name, value in subject.items() if name not in known})


def missing_line(utc: float, count: int) -> bytes:
    """Says in a log that so many of its lines are not there."""
    return _line({"time": rfc3339(utc), "event": "lines_dropped", "dropped": count})


def append(target: str, line: bytes) -> None:
    """Write one line without a sink: actions are few. An empty target is the process's own log. Raises LinesLost."""
    try:
        outlet = open_outlet(target, name="audit")
    except OSError as error:
        raise LinesLost(1, error.strerror or str(error)) from None
    try:
        outlet.write([line])
    finally:
        outlet.close()


def _line(document: Mapping[str, object]) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)
