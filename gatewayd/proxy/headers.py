"""Header sections from one side to the other (contract, section 5). Pure: bytes in, bytes out."""

from typing import Final

from gatewayd.config.settings import Network
from gatewayd.exchange import Exchange
from gatewayd.forwarded import as_chain, as_elements, extended, is_trusted, node, origin_of
from gatewayd.framing import HOST, Head
from gatewayd.identity.service import ServiceTokens
from gatewayd.incoming import Incoming
from gatewayd.proxy.answer import LIMITS, AnswerHead, kind_of, name_of
from gatewayd.trailers import announcement

_VIA: Final = b"1.1 gatewayd"
_END: Final = b"\r\n"
_SCHEMES: Final = frozenset({b"http", b"https"})
_LIMITED: Final = "RateLimit: "


def request_head(
    exchange: Exchange,
    begun: bytes,
    *,
    prefix: str,
    upgrade: bytes | None = None,
    authorization: bool = False,
    service: ServiceTokens | None = None,
) -> bytes:
    """The whole head of the request to an agent, which has `begun`: the caller's end-to-end fields, then ours."""
    head = exchange.head
    more = b""
    if head.chunked:
        more = _chunked(head)
    if authorization:
        sent = head.named.get(b"authorization", ())
        more = b"".join([more, *[b"Authorization: %b\r\n" % value for value in sent]])
    if upgrade is not None:
        more += b"Connection: Upgrade\r\nUpgrade: %b\r\n" % upgrade
    own, origin = _identity(exchange, service), _origin(exchange, head, prefix)
    return b"".join([begun, head.written(), more, own, origin, _END])


def _chunked(head: Head) -> bytes:
    announced = announcement(head.named.get(b"trailer", ()), head.hops)
    return b"".join([b"Transfer-Encoding: chunked\r\n", *[b"%b: %b\r\n" % field for field in announced]])


def _identity(exchange: Exchange, service: ServiceTokens | None) -> bytes:
    """Whose request it is, and which: nothing of it was taken from the caller but a trace that goes on."""
    ids, trace, span, flags = exchange.ids(), exchange.trace_id, exchange.span_id, exchange.trace_flags
    identity = exchange.proved
    plan = exchange.plan(identity) if identity is not None else None
    if identity is None:
        text = f"{ids}traceparent: 00-{trace}-{span}-{flags}\r\n"
    elif plan is None:
        text = f"{ids}traceparent: 00-{trace}-{span}-{flags}\r\nX-User-ID: {identity.user}\r\n"
    else:  # as nearly always, by one text that is made
        text = (
            f"{ids}traceparent: 00-{trace}-{span}-{flags}\r\nX-User-ID: {identity.user}\r\nX-User-Plan: {plan.name}\r\n"
        )
    if exchange.correlation_id:
        text += f"X-Correlation-ID: {exchange.correlation_id}\r\n"
    if identity is not None:
        if identity.tenant is not None:
            text += f"X-User-Tenant: {identity.tenant}\r\n"
        if identity.run is not None:
            text += f"X-Service-ID: {identity.service}\r\n"
        if service is not None:
            own = exchange.request_id
            token = service.sign(identity, own, exchange.clock.utc())
            text += f"X-Run-ID: {identity.run or own}\r\nX-Service-Token: {token}\r\n"
        elif identity.run is not None:
            text += f"X-Run-ID: {identity.run}\r\n"
    return text.encode()


def _origin(exchange: Exchange, head: Head, prefix: str) -> bytes:
    """What the agent learns of the caller's side; a chain before us is repeated only if it is trusted."""
    request = exchange.request
    host, networks = head.host or b"", exchange.generation.trusted_proxies
    peer = request.remote or "unknown"
    scheme = b"https" if request._transport_sslcontext is not None else b"http"  # noqa: SLF001  # as `secure` reads it
    if networks and is_trusted(peer, networks):
        return _behind_proxy(peer, scheme, host, head, prefix.encode(), networks)
    if b"via" in head.named:
        return _lines(peer, scheme, host, prefix.encode(), via=extended(head.named[b"via"], _VIA))
    if not isinstance(request, Incoming):
        return _lines(peer, scheme, host, prefix.encode())
    caller = request.caller
    if not caller.told or caller.told_host != host or caller.told_prefix != prefix:
        caller.told = _lines(peer, scheme, host, prefix.encode())
        caller.told_host, caller.told_prefix = host, prefix
    return caller.told


def _behind_proxy(
    peer: str, scheme: bytes, host: bytes, head: Head, prefix: bytes, networks: tuple[Network, ...]
) -> bytes:
    """What a proxy said in X-Forwarded-* only, or in Forwarded only, the agent hears in the other too."""
    named = head.named
    chain, elements = named.get(b"x-forwarded-for"), named.get(b"forwarded")
    told = origin_of(peer, elements, networks) if elements is not None else {}
    proto = head.only(b"x-forwarded-proto") or told.get("proto", "").encode("latin-1")
    if proto.lower() in _SCHEMES:
        scheme = proto.lower()
    claimed = head.only(b"x-forwarded-host") or told.get("host", "").encode("latin-1")
    if HOST.fullmatch(claimed):
        host = claimed
    if chain is None and elements is not None:
        chain = as_chain(elements)
    elif elements is None and chain is not None:
        elements = as_elements(chain)
    return _lines(peer, scheme, host, prefix, chain=chain, elements=elements, via=extended(named.get(b"via"), _VIA))


def _lines(
    peer: str,
    scheme: bytes,
    host: bytes,
    prefix: bytes,
    *,
    via: bytes = _VIA,
    chain: list[bytes] | None = None,
    elements: list[bytes] | None = None,
) -> bytes:
    element = b'for=%b;host="%b";proto=%b' % (node(peer).encode(), host, scheme)
    return (
        b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b\r\nX-Forwarded-Prefix: %b\r\n"
        b"Forwarded: %b\r\nVia: %b\r\n"
    ) % (extended(chain, peer.encode()), scheme, host, prefix, extended(elements, element), via)


def answer_head(head: AnswerHead, framing: bytes, own: str) -> bytes:
    """The head of an answer: the agent's end-to-end fields as they came, our lines, the framing of our side."""
    start = head.start
    if LIMITS in head.section.named and _LIMITED in own:
        # Two gateways' limits in one field would be read as one.
        start = head.start_with([line for line in head.section.lines if kind_of(name_of(line)) != LIMITS])
    return b"".join([start, own.encode(), framing, _END])
