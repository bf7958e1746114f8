"""The one mutable record of a request. Policies and the proxy write what they learn; the access log only reads.

Every field has one writer, named beside it. What a room needs from another passes through here, never through
loose keys on the request.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, TypeVar, cast

from aiohttp import web

from gatewayd.clock import Clock, at_hand
from gatewayd.errors import IssuerUnavailable, Refusal, TokenMissing, TokenRevoked, Unauthenticated
from gatewayd.framing import Head, Target
from gatewayd.generation import Generation
from gatewayd.identity.base import bearer_token
from gatewayd.ids import new_request_id
from gatewayd.incoming import Asked, Incoming
from gatewayd.model import Identity, Outcome, Plan

logger = logging.getLogger(__name__)

SETTLE_WAIT = 2.0  # not final, so that it can be replaced where it is compiled too
"""Seconds that an answer may be kept back for its record: a ledger in trouble must not keep the caller."""

R = TypeVar("R")
Conclusion = Callable[["Exchange"], Awaitable[None] | None]

_BEARER: Final = b"Bearer "
_NO_HEAD: Final = Head([], {})
_NO_TARGET: Final = Target("", "", "")
_NOTHING_PENDING: Final[list[Awaitable[None]]] = []  # and this is for nobody to change
_NO_OTHERS: Final[list[Conclusion]] = []  # nor this


class Exchange:
    """What is known of one request and its answer. Times: `_at` are UTC seconds, the others monotonic."""

    __slots__ = (
        "_conclusion",
        "_identity",
        "_ids",
        "_other_conclusions",
        "_plan",
        "_planned",
        "_refused",
        "added",  # any policy, by `add`: lines of fields that whatever answer goes out has besides `ids`
        "after",  # drain: the one that came next, and below, the one that came before, of those in flight
        "answered",  # forward: when the agent's answer was there whole, or had broken off; 0 before
        "asked",  # forward: when a connection to an agent was first asked for; 0 before
        "before",
        "bytes_in",  # forward: body bytes taken from the caller
        "bytes_out",  # forward: body bytes given to the caller
        "client",  # pin, then admission: the caller's address, behind proxies that are trusted
        "clock",
        "code",  # whoever answers or breaks off: the refusal's code; empty for an agent's own answer
        "correlation_id",  # admission: a trusted proxy's request id
        "cut",  # drain: why the gateway itself ends this exchange
        "ended",  # access_log
        "farewell",  # forward, on routes that say goodbye: ends a stream by its own protocol; False if it cannot now
        "first_byte",  # forward: when the agent's head came
        "generation",
        "head",  # admission
        "in_flight",  # drain
        "leave",  # admission, where requests are counted: takes this one off; pin calls it at the end
        "leaves",  # forward: the outbox's round for as long as which its answer waits there; else -1
        "method",
        "misstated",  # forward: the agent stated a quantity that is none
        "outcome",  # forward: set once an agent was reached
        "parent_span",  # admission: the caller's, if it named one
        "quantity",  # quota: what was charged
        "reached",  # forward: when the first byte was written to an agent; 0 before
        "request",
        "request_id",
        "route",  # admission
        "sent",  # forward: the head of an answer went out
        "span_id",  # tracing, if there are spans: what the agent's are below
        "started",
        "started_at",
        "stated",  # forward: the quantity the agent stated
        "status",  # whoever answers: the status; 0 before
        "target",  # admission
        "trace_flags",  # admission
        "trace_id",  # admission
        "unit",  # quota
        "void",  # forward: refused half way, so that it leaves no row although an agent was reached
    )

    def __init__(self, request: Asked, generation: Generation, clock: Clock) -> None:
        self.request = request
        self.method = request.method
        self.generation = generation
        self.clock = readings = at_hand(clock)
        self.started = readings.monotonic()
        self.started_at = readings.utc()
        self.request_id, self.span_id = new_request_id(self.started_at)
        self.trace_id = self.request_id
        self.trace_flags = "00"
        self.parent_span = ""
        self.correlation_id = ""
        self.client = ""
        self.head = _NO_HEAD
        self.target = _NO_TARGET
        self.route = generation.routes.unknown
        self.added = ""
        self._ids: bytes | None = None
        self.status = 0
        self.code = ""
        self.unit = ""
        self.quantity = 0
        self.stated: int | None = None
        self.misstated = False
        self.outcome: Outcome | None = None
        self.asked = 0.0
        self.reached = 0.0
        self.first_byte = 0.0
        self.answered = 0.0
        self.ended = 0.0
        self.bytes_in = 0
        self.bytes_out = 0
        self.sent = False
        self.leaves = -1
        self.cut: Refusal | None = None
        self.void = False
        self.farewell: Callable[[], bool] | None = None
        self.leave: Callable[[], None] | None = None
        self.in_flight = False
        self.before: Exchange | None = None
        self.after: Exchange | None = None
        self._identity: Identity | None = None
        self._plan: Plan | None = None
        self._planned = False
        self._refused: Unauthenticated | IssuerUnavailable | None = None
        self._conclusion: Conclusion | None = None
        self._other_conclusions: list[Conclusion] = _NO_OTHERS

    def trace(self, trace_id: str, flags: str) -> None:
        """The request is part of this trace, which the answer names."""
        self.trace_id, self.trace_flags = trace_id, flags
        self._ids = None

    def ids(self) -> bytes:
        """What names the request, as lines of fields: agent and caller are told alike."""
        if self._ids is None:
            own = self.request_id.encode()
            trace = own if self.trace_id == self.request_id else self.trace_id.encode()
            self._ids = b"X-Trace-ID: %b\r\nX-Request-ID: %b\r\n" % (trace, own)
        return self._ids

    def add(self, name: str, value: str) -> None:
        """Whatever answer goes out has this field too. Nothing of it may be a caller's: it is a line of its head."""
        self.added += f"{name}: {value}\r\n"

    @property
    def fields(self) -> list[tuple[str, str]]:
        """What any answer has of ours, `ids` and what was added, for answers that are no bytes yet."""
        lines = (self.ids().decode() + self.added).split("\r\n")
        return [(name, value) for name, _, value in [line.partition(": ") for line in lines[:-1]]]

    def tell_time(self) -> None:
        """Let the answer, whose head is to be made now, say what took how long, to callers who may know.

        In milliseconds (Server-Timing, https://www.w3.org/TR/server-timing/): the gateway until it asked for an agent,
        connecting to it, and the agent until its first byte.
        """
        identity, roles = self._identity, self.generation.server_timing
        if identity is None or not _has_one_of(identity, roles):
            return
        own = (self.asked or self.clock.monotonic()) - self.started
        parts = [("gateway", own)]
        if self.first_byte:
            parts += [("connect", self.reached - self.asked), ("agent", self.first_byte - self.reached)]
        said = ", ".join(f"{name};dur={seconds * 1000:.3f}" for name, seconds in parts)
        self.add("Server-Timing", said)

    def rule(self, kind: type[R]) -> R | None:
        """The rule of this type that holds for the request's route."""
        rule: R | None = self.route.rules.get(kind)  # type: ignore[assignment]  # keyed by its own type
        return rule

    async def identity(self) -> Identity:
        """Who is calling, verified once whoever asks first.

        Raises the same Unauthenticated, or IssuerUnavailable, at every call.
        """
        if self._identity is None:
            if self._refused is None:
                await self._verify()
            if self._refused is not None:
                raise self._refused.with_traceback(None)
        assert self._identity is not None
        return self._identity

    async def _verify(self) -> None:
        try:
            token = bearer_token(self.head.proofs())
            if token is None:
                raise TokenMissing
            identity = await self.generation.verifier.verify(token)
            if self.generation.accounts.refuses(identity):  # at every request: a verifier remembers
                raise TokenRevoked
            self._identity = identity
        except (Unauthenticated, IssuerUnavailable) as refusal:
            self._refused = refusal

    def known(self) -> Identity | None:
        """Who is calling, if that can be said without waiting: it was asked before, or the token is known."""
        if self._identity is None and self._refused is None:
            self._recall()
        return self._identity

    def _recall(self) -> None:
        """By the token's bytes, which were judged when it was verified. Whatever is not plain, `_verify` looks at.

        Who calls may go on as long as the request lasts if the token was good when it began.
        """
        proof = self.head.proof
        if proof is None or not proof.startswith(_BEARER):
            return
        generation = self.generation
        identity = generation.verifier.known(proof[len(_BEARER) :], self.started_at)
        if identity is not None and not generation.accounts.refuses(identity):
            self._identity = identity

    async def caller(self) -> Identity | None:
        """Who is calling if that was proved, else None."""
        try:
            return await self.identity()
        except (Unauthenticated, IssuerUnavailable):
            return None

    @property
    def proved(self) -> Identity | None:
        """The identity if somebody asked for it and it was proved; for those who only report."""
        return self._identity

    @property
    def overhead(self) -> float:
        """Seconds of an ended request that the gateway itself took: until it asked for an agent, and after its answer.

        All of them if it asked none.
        """
        if not self.asked:
            return self.ended - self.started
        before = self.asked - self.started
        return before + self.ended - self.answered if self.answered else before

    def plan(self, identity: Identity) -> Plan | None:
        """The caller's plan, looked up once: who is limited, charged and logged by it sees the same one."""
        if not self._planned:
            self._plan = self.generation.plan_for(identity.user, identity.plan)
            self._planned = True
        return self._plan

    def on_conclusion(self, conclusion: Conclusion) -> None:
        """Let `conclusion` run once, before the last byte of the answer goes out or when the request dies."""
        if self._conclusion is not None:
            self._other_conclusions = [self._conclusion, *self._other_conclusions]
        self._conclusion = conclusion

    def conclude(self) -> Sequence[Awaitable[None]]:
        """Close the books of this exchange, once: the work is done here, awaiting it is for durability.

        The last to ask for it comes first, as the ring unwinds. Empty when there is nothing (more) to wait for.
        """
        if self._conclusion is None:
            return _NOTHING_PENDING
        pending = self.submit()
        self.generation.ledger.seal()
        return pending

    def submit(self) -> Sequence[Awaitable[None]]:
        """As `conclude`, but that the ledger is still to be sealed, before the last byte of an answer goes out."""
        last, others = self._conclusion, self._other_conclusions
        if last is None:
            return _NOTHING_PENDING
        self._conclusion, self._other_conclusions = None, _NO_OTHERS
        pending = last(self)
        if not others:
            return [pending] if pending is not None else _NOTHING_PENDING
        each_pending = [pending, *[conclusion(self) for conclusion in others]]
        return [each for each in each_pending if each is not None]

    async def close_books(self) -> None:
        """Conclude, and wait until what was submitted is durable, for at most SETTLE_WAIT seconds."""
        if pending := self.conclude():
            await self.wait_for(pending)

    async def wait_for(self, pending: Iterable[Awaitable[None]]) -> None:
        """As `close_books`, for what `conclude` gave."""
        closing = [asyncio.ensure_future(each) for each in pending]
        for future in closing:
            future.add_done_callback(self._look)
        await asyncio.wait(closing, timeout=SETTLE_WAIT)

    def _look(self, future: asyncio.Future[None]) -> None:
        if not future.cancelled() and (error := future.exception()) is not None:
            logger.error("the books of request %s could not be closed: %s", self.request_id, error)

    async def fail(self, refusal: Refusal) -> None:
        """It went wrong: note that, unless an answer has begun, and close the books."""
        if self.sent:
            self.code = refusal.code
        else:
            self.refused(refusal)
        await self.close_books()

    def refused(self, refusal: Refusal) -> None:
        """Note the gateway's own answer, or that there was nobody left to answer."""
        self.status, self.code = refusal.status, refusal.code


def _has_one_of(identity: Identity, roles: tuple[str, ...]) -> bool:
    mine = identity.roles
    for role in roles:  # a generator for `any` would be made for each request  # noqa: SIM110
        if role in mine:
            return True
    return False


EXCHANGE: Final = web.RequestKey("exchange", Exchange)


def exchange_of(request: Asked) -> Exchange:
    """What `request[EXCHANGE]` is. Each policy asks for it, and aiohttp would answer with a function in Python."""
    found = request.exchange if isinstance(request, Incoming) else request._state[EXCHANGE]  # noqa: SLF001
    return cast("Exchange", found)


def whole_of(request: Asked) -> web.Request:
    """The request as aiohttp has it, in which its exchange is found by who was written for aiohttp."""
    if not isinstance(request, Incoming):
        return request
    whole = request.whole()
    whole[EXCHANGE] = exchange_of(request)
    return whole


def enter(request: Asked, exchange: Exchange) -> None:
    """From now on it is found by its request. Each holds the other, until `leave`."""
    if isinstance(request, Incoming):
        request.exchange = exchange
    else:
        request._state[EXCHANGE] = exchange  # noqa: SLF001


def leave(request: Asked) -> None:
    """Part a request from its exchange, so that both are freed now and not by the collector."""
    if isinstance(request, Incoming):
        request.exchange = None
        if not request.has_whole:
            return
        request = request.whole()
    request._state.pop(EXCHANGE, None)  # noqa: SLF001
