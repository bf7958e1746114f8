"""Header sections from one side to the other (contract, section 5). Pure: bytes in, bytes out."""

from typing import Final

from gatewayd.config.settings import Network
from gatewayd.exchange import Exchange
from gatewayd.forwarded import as_chain, as_elements, extended, is_trusted, node, origin_of
from gatewayd.framing import HOST, Head
from gatewayd.identity.service import ServiceTokens
from gatewayd.incoming import Incoming
from gatewayd.model import Identity, Plan
from gatewayd.proxy.answer import LIMITS, AnswerHead, kind_of, name_of
from gatewayd.remembering import remember
from gatewayd.trailers import announcement

_VIA: Final = b"1.1 gatewayd"
_SCHEMES: Final = frozenset({b"http", b"https"})
_LIMITED: Final = "RateLimit: "
_KEPT: Final = 4096
_LONGEST_KEPT: Final = 64  # characters of a name that is remembered: issuers choose them, and their number


class _User:
    """What an agent is told of a user: lines of fields."""

    __slots__ = ("identity", "plan", "said")

    def __init__(self, identity: Identity, plan: Plan | None) -> None:
        self.identity = identity
        self.plan = plan
        bought = b"X-User-Plan: %b\r\n" % plan.name.encode() if plan is not None else b""
        self.said = b"X-User-ID: %b\r\n%b" % (identity.user.encode(), bought)


_users: Final[dict[str, _User]] = {}  # by name; it is emptied when it is full


def request_message(
    exchange: Exchange,
    begun: bytes,
    body: bytes,
    *,
    prefix: str,
    upgrade: bytes | None = None,
    authorization: bool = False,
    service: ServiceTokens | None = None,
) -> bytes:
    """The whole head of the request to an agent, which has `begun`, and what is there of the body behind it.

    The caller's end-to-end fields come first, then ours, of which nothing was taken from the caller but a trace that
    goes on.
    """
    head = exchange.head
    more = b""
    if head.chunked:
        more = _chunked(head)
    if authorization:
        more = b"".join([more, *[b"Authorization: %b\r\n" % value for value in head.proofs()]])
    if upgrade is not None:
        more += b"Connection: Upgrade\r\nUpgrade: %b\r\n" % upgrade
    trace, span, flags = exchange.trace_id.encode(), exchange.span_id.encode(), exchange.trace_flags.encode()
    # One piece of memory, written once: what is joined again and again is copied as often.
    return b"%b%b%b%btraceparent: 00-%b-%b-%b\r\n%b%b\r\n%b" % (
        begun,
        head.written(),
        more,
        exchange.ids(),
        trace,
        span,
        flags,
        _identity(exchange, service),
        _origin(exchange, head, prefix),
        body,
    )


def _chunked(head: Head) -> bytes:
    announced = announcement(head.named.get(b"trailer", ()), head.hops)
    return b"".join([b"Transfer-Encoding: chunked\r\n", *[b"%b: %b\r\n" % field for field in announced]])


def _identity(exchange: Exchange, service: ServiceTokens | None) -> bytes:
    """Whose request it is."""
    identity = exchange.proved
    said = _user(identity, exchange.plan(identity)) if identity is not None else b""
    if exchange.correlation_id:
        said += b"X-Correlation-ID: %b\r\n" % exchange.correlation_id.encode()
    if identity is None:
        return said
    if identity.tenant is not None:
        said += b"X-User-Tenant: %b\r\n" % identity.tenant.encode()
    if service is not None or identity.run is not None:
        said += _run(exchange, identity, service).encode()
    return said


def _user(identity: Identity, plan: Plan | None) -> bytes:
    """Who it is and what he bought, remembered by his name, if that is not long, until one of them is told anew."""
    known = _users.get(identity.user)
    if known is None or known.identity is not identity or known.plan is not plan:
        known = _User(identity, plan)
        if len(identity.user) <= _LONGEST_KEPT:
            remember(_users, identity.user, known, _KEPT)
    return known.said


def _run(exchange: Exchange, identity: Identity, service: ServiceTokens | None) -> str:
    """Which agent calls for the user, in which run, and by what the one that is called may call on for him."""
    text = f"X-Service-ID: {identity.service}\r\n" if identity.run is not None else ""
    if service is None:
        return f"{text}X-Run-ID: {identity.run}\r\n"
    own = exchange.request_id
    token = service.sign(identity, own, exchange.clock.utc())
    return f"{text}X-Run-ID: {identity.run or own}\r\nX-Service-Token: {token}\r\n"


def _origin(exchange: Exchange, head: Head, prefix: str) -> bytes:
    """What the agent learns of the caller's side; a chain before us is repeated only if it is trusted."""
    request = exchange.request
    host, networks = head.host or b"", exchange.generation.trusted_proxies
    caller = request.caller if isinstance(request, Incoming) and not networks else None
    known = caller is not None and caller.told_prefix == prefix and b"via" not in head.named
    if known and caller is not None and (caller.told_host is host or caller.told_host == host):
        return caller.told
    peer = request.remote or "unknown"
    scheme = b"https" if request._transport_sslcontext is not None else b"http"  # noqa: SLF001  # as `secure` reads it
    if networks and is_trusted(peer, networks):
        return _behind_proxy(peer, scheme, host, head, prefix.encode(), networks)
    if b"via" in head.named:
        return _lines(peer, scheme, host, prefix.encode(), via=extended(head.named[b"via"], _VIA))
    told = _lines(peer, scheme, host, prefix.encode())
    if caller is not None:
        caller.told, caller.told_host, caller.told_prefix = told, host, prefix
    return told


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


def answer_message(head: AnswerHead, ids: bytes, own: str, framing: bytes, body: bytes) -> bytes:
    """The head of an answer, and what is there of the body behind it.

    The agent's end-to-end fields come as they came, then our lines, then the framing of our side.
    """
    start = head.start
    if head.is_limiting and _LIMITED in own:
        # Two gateways' limits in one field would be read as one.
        start = head.start_with([line for line in head.section.lines if kind_of(name_of(line)) != LIMITS])
    return b"%b%b%b%b\r\n%b" % (start, ids, own.encode(), framing, body)
