"""Header sections from one side to the other (contract, section 5). Pure: bytes in, bytes out."""

import secrets
from collections.abc import Iterable, Sequence
from typing import Final

from gatewayd.exchange import Exchange
from gatewayd.forwarded import extended, is_trusted, node
from gatewayd.framing import HOP_BY_HOP, HOST, Head
from gatewayd.model import Identity
from gatewayd.trailers import announcement

_VIA: Final = b"1.1 gatewayd"
_SCHEMES: Final = frozenset({b"http", b"https"})
_DIGITS: Final = frozenset(b"0123456789")
_DROPPED_FROM_ANSWERS: Final = HOP_BY_HOP | {b"content-length", b"x-request-id"}
_LIMIT_FIELDS: Final = frozenset({b"ratelimit", b"ratelimit-policy"})


def request_head(
    exchange: Exchange,
    *,
    target: bytes,
    authority: bytes,
    prefix: bytes,
    upgrade: bytes | None = None,
    authorization: bool = False,
) -> bytes:
    """The whole head of the request to an agent: the caller's end-to-end fields first, ours after them."""
    head = exchange.head
    lines = [b"%s %s HTTP/1.1\r\nHost: %s\r\n" % (exchange.request.method.encode(), target, authority)]
    lines += [b"%s: %s\r\n" % field for field in head.fields]
    lines += [b"%s: %s\r\n" % field for field in _framing(head)]
    if authorization:
        lines += [b"Authorization: %s\r\n" % value for value in head.named.get(b"authorization", ())]
    lines += [b"%s: %s\r\n" % field for field in _identity(exchange, exchange.proved)]
    lines += [b"%s: %s\r\n" % field for field in _origin(exchange, head, prefix)]
    if upgrade is not None:
        lines.append(b"Connection: Upgrade\r\nUpgrade: %s\r\n" % upgrade)
    lines.append(b"\r\n")
    return b"".join(lines)


def _framing(head: Head) -> list[tuple[bytes, bytes]]:
    if head.chunked:
        announced = head.named.get(b"trailer", ())
        return [(b"Transfer-Encoding", b"chunked"), *(announcement(announced, head.hops) if announced else ())]
    if head.content_length is not None:
        return [(b"Content-Length", b"%d" % head.content_length)]
    return []


def _identity(exchange: Exchange, identity: Identity | None) -> list[tuple[bytes, bytes]]:
    trace = f"00-{exchange.trace_id}-{secrets.token_hex(8)}-{exchange.trace_flags}"
    fields = [
        (b"X-Request-ID", exchange.request_id.encode()),
        (b"X-Trace-ID", exchange.trace_id.encode()),
        (b"traceparent", trace.encode()),
    ]
    if exchange.correlation_id:
        fields.append((b"X-Correlation-ID", exchange.correlation_id.encode()))
    if identity is not None:
        fields.append((b"X-User-ID", identity.user.encode()))
        if (plan := exchange.plan(identity)) is not None:
            fields.append((b"X-User-Plan", plan.name.encode()))
    return fields


def _origin(exchange: Exchange, head: Head, prefix: bytes) -> list[tuple[bytes, bytes]]:
    """What the agent learns of the caller's side; a chain before us is repeated only if it is trusted."""
    request = exchange.request
    peer = request.remote or "unknown"
    trusted = is_trusted(peer, exchange.generation.settings.server.trusted_proxies)
    scheme = b"https" if request.transport is not None and request.transport.get_extra_info("sslcontext") else b"http"
    host = head.only(b"host") or b""
    named = head.named
    if trusted:
        claimed = head.only(b"x-forwarded-proto")
        scheme = claimed.lower() if claimed is not None and claimed.lower() in _SCHEMES else scheme
        claimed = head.only(b"x-forwarded-host")
        host = claimed if claimed is not None and HOST.fullmatch(claimed) else host
    element = b'for=%s;host="%s";proto=%s' % (node(peer).encode(), host, scheme)
    return [
        (b"X-Forwarded-For", extended(named.get(b"x-forwarded-for") if trusted else None, peer.encode())),
        (b"X-Forwarded-Proto", scheme),
        (b"X-Forwarded-Host", host),
        (b"X-Forwarded-Prefix", prefix),
        (b"Forwarded", extended(named.get(b"forwarded") if trusted else None, element)),
        (b"Via", extended(named.get(b"via"), _VIA)),
    ]


def answer_head(
    status: int,
    reason: bytes,
    raw_headers: Iterable[tuple[bytes, bytes]],
    framing: Sequence[tuple[bytes, bytes]],
    added: Iterable[tuple[str, str]],
) -> bytes:
    """The head of an answer: the agent's end-to-end fields as they came, the framing of our side, our fields."""
    ours = [(name.encode(), value.encode()) for name, value in added]
    dropped = _DROPPED_FROM_ANSWERS | connection_named(raw_headers)
    if any(name.lower() in _LIMIT_FIELDS for name, _ in ours):
        dropped |= _LIMIT_FIELDS  # two gateways' limits in one field would be read as one
    lines = [b"HTTP/1.1 %d %s\r\n" % (status, reason)]
    for field in raw_headers:
        lower = field[0].lower()
        if lower not in dropped and not (lower == b"server" and _DIGITS & set(field[1])):
            lines.append(b"%s: %s\r\n" % field)
    lines += [b"%s: %s\r\n" % field for field in framing]
    lines += [b"%s: %s\r\n" % field for field in ours]
    lines.append(b"\r\n")
    return b"".join(lines)


def connection_named(raw_headers: Iterable[tuple[bytes, bytes]]) -> frozenset[bytes]:
    """The field names that Connection makes hop-by-hop (RFC 9110 section 7.6.1)."""
    return frozenset(
        token.strip().lower()
        for name, value in raw_headers
        if name.lower() == b"connection"
        for token in value.split(b",")
    )


def stated_quantity(raw_headers: Iterable[tuple[bytes, bytes]]) -> tuple[int | None, bool]:
    """The agent's X-Usage-Quantity: one field of 1 to 15 ASCII digits. The flag says that one was sent and ignored."""
    values = [value for name, value in raw_headers if name.lower() == b"x-usage-quantity"]
    if len(values) == 1 and 1 <= len(values[0]) <= 15 and _DIGITS.issuperset(values[0]):
        return int(values[0]), False
    return None, bool(values)
