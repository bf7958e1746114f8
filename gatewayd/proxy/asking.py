"""A request's way to its agent: on a connection that idles or a new one, with the body that is here or as it comes."""

from typing import Final

from aiohttp.web_protocol import RequestPayloadError

from gatewayd.course import Course
from gatewayd.edge.turns import has_ended
from gatewayd.errors import BadRequest, UpstreamReset
from gatewayd.exchange import Exchange
from gatewayd.incoming import Asked, Incoming
from gatewayd.proxy.answer import AnswerHead
from gatewayd.proxy.body import taken
from gatewayd.proxy.call import Call, StaleConnectionError
from gatewayd.proxy.headers import request_message
from gatewayd.proxy.relay import send_interim
from gatewayd.proxy.rule import Forwarding
from gatewayd.proxy.upload import Upload, count_body, end_of_chunks, frame
from gatewayd.proxy.upstream import Way

_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})  # RFC 9110 section 9.2.2


class Asking(Course):
    """One request, until its answer begins. Mutable: it owns the call and the upload until it lets go of them."""

    __slots__ = ("_body", "_call", "_exchange", "_is_accepted", "_request", "_rule", "_upload")

    def __init__(self, exchange: Exchange, request: Asked, rule: Forwarding) -> None:
        self._exchange = exchange
        self._request = request
        self._rule = rule
        self._body: bytes | None = None
        self._call: Call | None = None
        self._upload: Upload | None = None
        self._is_accepted = False  # the answer's head has come, and nothing is wrong with it

    def _ask(self) -> None:
        """Ask the agent, if there is an idle connection to it."""
        self._body = self._whole_body()
        try:
            self._ask_idle()
        except StaleConnectionError:
            self._let_go()  # nothing was sent: another one is asked

    async def _head(self) -> AnswerHead:
        """The final head. A pooled connection that turned out stale is replaced once, if that is safe."""
        head: AnswerHead | None = None
        try:
            call = self._call or await self._ask_other()
            head = await call.answer()
        except StaleConnectionError:
            if not self._may_repeat:
                raise UpstreamReset from None
        if head is None:
            call, head = await self._ask_again()
        while head.is_interim:
            send_interim(self._request, head)
            head = await call.answer()
        return head

    def _whole_body(self) -> bytes | None:
        """The body if all of it is here already (or there is none), so that it leaves with its head."""
        request = self._request
        body = request.take_body() if isinstance(request, Incoming) else None
        if body is None:
            content = request.content
            if not has_ended(content):
                return None
            try:
                body = taken(content, request.protocol)
            except RequestPayloadError:
                raise BadRequest("The body's framing is broken.") from None
        count_body(self._exchange, len(body), self._rule.max_body)
        return body

    async def _ask_again(self) -> tuple[Call, AnswerHead]:
        """The answer that comes on another connection. Raises UpstreamReset if that is stale too."""
        self._let_go()  # there is no upload: all of the body is still here, or nothing was sent
        try:
            call = self._ask_idle() or await self._ask_other()
            return call, await call.answer()
        except StaleConnectionError:
            raise UpstreamReset from None

    @property
    def _may_repeat(self) -> bool:
        """Whether nothing was sent, or all of it is still here and does no harm if it arrives twice."""
        return not self._exchange.reached or (self._body is not None and self._exchange.method in _IDEMPOTENT)

    def _ask_idle(self) -> Call | None:
        """The call that is asked on a connection that idled, if there is one."""
        exchange = self._exchange
        exchange.asked = exchange.asked or exchange.clock.monotonic()
        found = self._rule.round.idle()
        return self._send(found[0], found[1], exchange.asked) if found is not None else None

    async def _ask_other(self) -> Call:
        """The call that is asked on a connection that has to be waited for."""
        way, call = await self._rule.balance.connect(self._rule.connect)
        return self._send(way, call, self._exchange.clock.monotonic())

    def _send(self, way: Way, call: Call, now: float) -> Call:
        exchange, rule = self._exchange, self._rule
        self._call = call
        call.expect(bodiless=exchange.method == "HEAD")
        message = self._message(way, call)
        if self._body is None:
            exchange.generation.ledger.seal()
            call.send(message)
        else:
            call.ask(message, exchange.generation.ledger)
        exchange.reached = exchange.reached or now
        if self._body is None:
            self._upload = Upload(exchange, self._request, call, rule)
        else:
            call.start_clock(rule.first_byte)
        return call

    def _message(self, way: Way, call: Call) -> bytes:
        """The head for the agent, and the body behind it if all of that is here."""
        exchange, rule = self._exchange, self._rule
        upgrade, chunked, body = exchange.head.upgrade, exchange.head.chunked, self._body
        if body is None:
            body = b""
        elif chunked:
            body = (frame(body, chunked=True) if body else b"") + end_of_chunks(exchange, self._request, call)
        return request_message(
            exchange,
            way.begin(exchange.method, exchange.target, rule.prefix),
            body,
            prefix=rule.prefix,
            upgrade=upgrade.encode() if upgrade is not None else None,
            authorization=rule.authorization,
            service=rule.service,
        )

    def _let_go(self) -> Upload | None:
        """Give the connection back if both messages on it are whole and the answer was accepted, else close it.

        What is returned is an upload to be stopped.
        """
        upload, call = self._upload, self._call
        self._upload = self._call = None
        if call is not None:
            if self._is_accepted and call.is_complete and (upload is None or upload.complete):
                call.release()
            else:
                call.abort()
        return upload
