"""The handler at the heart of the ring: one request to the agent, its answer to the caller, both as they come."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from aiohttp.web_protocol import RequestPayloadError

from gatewayd.config.settings import RouteSettings, Settings, Timeouts
from gatewayd.drain import DRAIN
from gatewayd.errors import (
    BadRequest,
    BodyTooLarge,
    ClientClosed,
    MethodNotAllowed,
    Refusal,
    RequestTimeout,
    RouteUnknown,
    UpstreamReset,
    UpstreamTimeout,
)
from gatewayd.exchange import EXCHANGE, Exchange
from gatewayd.model import Outcome
from gatewayd.proxy.balance import Balance
from gatewayd.proxy.headers import request_head, stated_quantity
from gatewayd.proxy.relay import Relay, send_interim
from gatewayd.proxy.upload import Upload, count_body, frame
from gatewayd.proxy.upstream import Answer, Call, Interim, StaleConnectionError, Upstream, read_body
from gatewayd.proxy.websocket import Tunnel, is_switched
from gatewayd.sent import Sent

_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})  # RFC 9110 section 9.2.2
_SETTLE_WAIT: Final = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Forwarding:
    """A route's rule for the proxy: where to, what is allowed, how long. `silence` is the caller's, in a body."""

    balance: Balance
    prefix: str
    methods: tuple[str, ...]
    timeouts: Timeouts
    max_body: int
    silence: float
    authorization: bool
    upgrades: tuple[str, ...]

    def admit(self, exchange: Exchange) -> None:
        """Raises the Refusal of a request that this route does not take, whoever sends it."""
        head, method = exchange.head, exchange.request.method
        if method not in self.methods:
            raise MethodNotAllowed(self.methods)
        if head.content_length is not None and head.content_length > self.max_body:
            raise BodyTooLarge(f"This route takes at most {self.max_body} bytes.")
        if head.upgrade is not None and (head.upgrade not in self.upgrades or method != "GET"):
            raise BadRequest("This upgrade is not allowed here.")


def forwarding(settings: Settings, route: RouteSettings, upstream_at: Callable[[str], Upstream]) -> Forwarding:
    """The rule of a configured route."""
    return Forwarding(
        balance=Balance([upstream_at(url) for url in route.upstream]),
        prefix=route.prefix.rstrip("/"),
        methods=route.methods,
        timeouts=route.timeouts,
        max_body=route.max_body if route.max_body is not None else settings.server.max_body,
        silence=settings.server.body_timeout,
        authorization=route.forward_authorization,
        upgrades=route.upgrades,
    )


async def forward(request: web.Request) -> web.StreamResponse:
    """Raises RouteUnknown and the route's own refusals; everything else is told by the answer."""
    exchange = request[EXCHANGE]
    rule = exchange.rule(Forwarding)
    if rule is None:
        raise RouteUnknown
    rule.admit(exchange)
    return await Passage(exchange, request, rule).run()


class Passage:
    """One request's way to its agent and back. Mutable: it owns the call, the upload and the relay until the end."""

    __slots__ = ("_answer", "_body", "_call", "_exchange", "_relay", "_request", "_rule", "_upload")

    def __init__(self, exchange: Exchange, request: web.Request, rule: Forwarding) -> None:
        self._exchange = exchange
        self._request = request
        self._rule = rule
        self._body: bytes | None = None
        self._call: Call | None = None
        self._upload: Upload | None = None
        self._answer: Answer | None = None
        self._relay: Sent | None = None

    async def run(self) -> web.StreamResponse:
        """Whatever happens, the books are closed, the agent is let go, and an answer is whole or visibly is not."""
        try:
            async with asyncio.timeout(self._rule.timeouts.total or None):
                self._body = self._whole_body()
                self._answer = await self._ask()
                return await self._deliver(self._answer)
        except TimeoutError:
            return await self._fail(UpstreamTimeout())
        except Refusal as refusal:
            return await self._fail(refusal)
        except asyncio.CancelledError:
            self._abandon()
            raise
        finally:
            await self._let_go()

    def _whole_body(self) -> bytes | None:
        """The body if all of it is here already (or there is none), so that it leaves with its head."""
        content = self._request.content
        if not content.is_eof():
            return None
        try:
            body = content.read_nowait()
        except RequestPayloadError:
            raise BadRequest("The body's framing is broken.") from None
        count_body(self._exchange, len(body), self._rule.max_body)
        return body

    async def _ask(self) -> Answer:
        """The agent's answer; a pooled connection that turned out stale is replaced once, if that is safe."""
        try:
            return await self._attempt()
        except StaleConnectionError:
            repeatable = not self._exchange.reached or self._request.method in _IDEMPOTENT
            if self._body is None or not repeatable:
                raise UpstreamReset from None
        await self._let_go()
        try:
            return await self._attempt()
        except StaleConnectionError:
            raise UpstreamReset from None

    async def _attempt(self) -> Answer:
        upstream, call = await self._rule.balance.connect(self._rule.timeouts.connect)
        self._call = call
        call.expect(bodiless=self._request.method == "HEAD")
        self._send(upstream, call)
        if self._upload is not None:
            return await self._answer_while_uploading(call, self._upload)
        return await self._answer_of(call, self._rule.timeouts.first_byte)

    def _send(self, upstream: Upstream, call: Call) -> None:
        exchange, rule, chunked = self._exchange, self._rule, self._exchange.head.chunked
        head = request_head(
            exchange,
            target=upstream.target(exchange.target.path[len(rule.prefix) :], exchange.target.query),
            authority=upstream.authority,
            prefix=rule.prefix.encode(),
            upgrade=exchange.head.upgrade.encode() if exchange.head.upgrade is not None else None,
            authorization=rule.authorization,
        )
        if self._body is not None:
            head += frame(self._body, chunked=chunked and bool(self._body)) + (b"0\r\n\r\n" if chunked else b"")
        call.send(head)
        exchange.reached = exchange.reached or exchange.clock.monotonic()
        if self._body is None:
            stall = rule.timeouts.idle
            self._upload = Upload(
                exchange, self._request, call, limit=rule.max_body, silence=rule.silence, stall=stall
            )

    async def _answer_of(self, call: Call, timeout: float) -> Answer:
        bodiless = self._request.method == "HEAD"
        while isinstance(answer := await call.answer(timeout, bodiless=bodiless), Interim):
            send_interim(self._request, answer)
        self._exchange.first_byte = self._exchange.clock.monotonic()
        return answer

    async def _answer_while_uploading(self, call: Call, upload: Upload) -> Answer:
        """The answer may come before the body has gone; the agent's time counts from the end of the body."""
        answer = asyncio.create_task(self._answer_of(call, 0))
        try:
            await asyncio.wait({answer, upload.task}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                upload.task.result()  # raises what ended it, if that was not the end of the body
                await asyncio.wait({answer}, timeout=self._rule.timeouts.first_byte or None)
            if not answer.done():
                raise UpstreamTimeout
            return answer.result()
        finally:
            answer.cancel()

    async def _deliver(self, answer: Answer) -> web.StreamResponse:
        exchange, call = self._exchange, self._call
        assert call is not None
        exchange.status = answer.status
        exchange.stated, exchange.misstated = stated_quantity(answer.raw_headers)
        if answer.status == 101:
            is_switched(answer, exchange.head.upgrade)
            tunnel = self._relay = Tunnel(exchange, self._request, call, answer, self._rule.timeouts.idle)
            await tunnel.run()
            exchange.outcome = tunnel.outcome
            await self._conclude()
            return tunnel
        whole = self._upload is None or self._upload.complete
        reusable = whole and not self._request.app[DRAIN].began
        relay = self._relay = Relay(exchange, self._request, answer, reusable=reusable)
        await self._pass_on(answer, relay)
        return relay

    async def _pass_on(self, answer: Answer, relay: Relay) -> None:
        """The body, piece by piece. The books are closed before the last byte goes out (contract, section 7)."""
        exchange, body, idle = self._exchange, answer.body, self._rule.timeouts.idle
        chunk = body.read_nowait() if answer.has_body and body.is_eof() else b""
        if answer.has_body and not body.is_eof():
            if not relay.may_hold_head:
                relay.start()
            while (chunk := await read_body(body, idle)) and not body.at_eof():
                await relay.send(chunk, idle)
        exchange.bytes_out += len(chunk)
        exchange.outcome = Outcome.DELIVERED if answer.status < 500 else Outcome.FAILED
        await self._conclude()
        relay.finish(chunk)

    async def _conclude(self) -> None:
        """Wait for the record, but not for ever: a ledger in trouble keeps it and must not keep the caller."""
        if (closing := self._exchange.conclude()) is not None:
            await asyncio.wait({asyncio.ensure_future(closing)}, timeout=_SETTLE_WAIT)

    async def _fail(self, refusal: Refusal) -> web.StreamResponse:
        exchange = self._exchange
        if isinstance(refusal, BodyTooLarge):
            exchange.reached = 0.0  # refused, so it leaves no row (contract, section 7)
        exchange.outcome = _outcome_of(refusal)
        if not exchange.sent:
            raise refusal
        exchange.code = refusal.code
        if self._relay is not None:
            self._relay.break_off()
        await self._conclude()
        return self._relay or Sent(exchange.status, keep_alive=False)

    def _abandon(self) -> None:
        """The task was cancelled: the caller left, or the gateway cut it off at the drain's deadline."""
        exchange, relay = self._exchange, self._relay
        if isinstance(relay, Tunnel) and relay.closing:
            exchange.outcome = Outcome.DELIVERED  # both sides had said goodbye; who hangs up first says nothing
            return
        exchange.outcome = Outcome.FAILED if exchange.cut else Outcome.CLIENT_CLOSED
        if not exchange.cut:
            exchange.refused(ClientClosed())

    async def _let_go(self) -> None:
        """Give the connection back if both messages on it are whole, else close it at once."""
        upload, call = self._upload, self._call
        self._upload = self._call = None
        whole = self._answer is not None and self._answer.body.at_eof() and (upload is None or upload.complete)
        if call is not None:
            if whole:
                call.release()
            else:
                call.abort()
        if upload is not None:
            await upload.stop()


def _outcome_of(refusal: Refusal) -> Outcome:
    """Whose fault it was: what the caller broke off or sent wrong is the caller's."""
    callers = isinstance(refusal, (ClientClosed, RequestTimeout, BadRequest))
    return Outcome.CLIENT_CLOSED if callers else Outcome.FAILED
