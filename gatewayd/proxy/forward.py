"""The handler at the heart of the ring: one request to the agent, its answer to the caller, both as they come."""

import asyncio
from collections.abc import Awaitable, Generator, Sequence
from typing import Any

from aiohttp import web

from gatewayd.bell import Hearer
from gatewayd.drain import drain_of
from gatewayd.errors import (
    BadRequest,
    BodyTooLarge,
    ClientClosed,
    Draining,
    HeadersTooLarge,
    Refusal,
    RequestTimeout,
    RouteUnknown,
    UpstreamTimeout,
)
from gatewayd.exchange import Exchange, exchange_of
from gatewayd.incoming import Asked
from gatewayd.model import Outcome
from gatewayd.proxy.answer import AnswerHead
from gatewayd.proxy.asking import Asking
from gatewayd.proxy.relay import Relay
from gatewayd.proxy.rule import Forwarding
from gatewayd.proxy.tunnel import Tunnel
from gatewayd.proxy.upload import Upload
from gatewayd.proxy.websocket import is_switched


def forward(request: Asked) -> Awaitable[web.StreamResponse]:
    """Raises RouteUnknown and the route's own refusals; everything else is told by the answer."""
    exchange = exchange_of(request)
    rule = exchange.rule(Forwarding)
    if rule is None:
        raise RouteUnknown
    rule.admit(exchange)
    passage = Passage(exchange, request, rule)
    passage.begin()
    return passage


class Passage(Asking):
    """One request's way to its agent and back. Mutable: it owns the carrier, too, until the end.

    It can be followed if all of the request was sent at once and there is no limit but the agent's time to answer, and
    goes on without a task if that answer is plain, so there is nothing to wait for on the way back.
    """

    __slots__ = ("_books", "_carrier", "_failure")

    def __init__(self, exchange: Exchange, request: Asked, rule: Forwarding) -> None:
        super().__init__(exchange, request, rule)
        self._carrier: Relay | Tunnel | None = None
        self._books: Sequence[Awaitable[None]] | None = None  # once they are closed, what that waits for
        self._failure: BaseException | None = None  # which is dealt with when this is awaited

    def begin(self) -> None:
        """Ask the agent, if there is an idle connection to it."""
        try:
            self._ask()
        except BaseException as failure:
            self._failure = failure

    def follow(self, hearer: Hearer) -> bool:
        call = self._call
        if call is None or self._upload is not None or self._failure is not None or self._rule.total:
            return False
        return call.follow(hearer)

    def go_on(self) -> web.StreamResponse | None:
        call = self._call
        try:
            if call is None or (head := call.plain_answer()) is None:
                return None
            carrier = self._carry_back(head)
            if not self._has_passed(carrier):
                return None
            self._books = self._close_books(carrier)
            if self._books:
                return None
            self._finish(carrier)  # there is no upload
            return carrier.response()
        except BaseException as failure:
            self._failure = failure
        return None

    def fail(self, error: BaseException) -> None:
        self._failure = error
        if self._call is not None:
            self._call.tell_nobody()

    def __await__(self) -> Generator[Any, None, web.StreamResponse]:
        return self._run().__await__()

    async def _run(self) -> web.StreamResponse:
        """Whatever happens, the books are closed, the agent is let go, and an answer is whole or visibly is not."""
        failure, self._failure = self._failure, None
        try:
            if failure is None:
                return await self._go_on()
        except BaseException as error:
            failure = error
        try:  # out here, because nothing that is compiled may wait while it handles an error
            return await self._end(failure)
        finally:
            failure = None  # its traceback has this frame, which would have it

    async def _go_on(self) -> web.StreamResponse:
        if (carrier := self._carrier) is None or self._books is None:
            carrier = await self._pass_in_time()
            self._books = self._close_books(carrier)
        if self._books:
            await self._exchange.wait_for(self._books)
        if (upload := self._finish(carrier)) is not None:
            await upload.stop()
        return carrier.response()

    def _finish(self, carrier: Relay | Tunnel) -> Upload | None:
        """The books are closed, and sealed, before the last byte goes out (contract, section 7).

        What is returned is an upload to be stopped.
        """
        carrier.finish()
        return self._let_go()

    def _close_books(self, carrier: Relay | Tunnel) -> Sequence[Awaitable[None]]:
        """All but the last piece was passed on; what is to be waited for before that one is."""
        exchange = self._exchange
        exchange.answered = exchange.answered or exchange.clock.monotonic()
        exchange.outcome = carrier.outcome
        return exchange.submit()

    async def _end(self, failure: BaseException | None) -> web.StreamResponse:
        """What the failure comes to: it is raised, or another one, or it broke off an answer that had begun."""
        carrier = None
        if (refusal := self._refusal_for(failure)) is not None:
            try:
                carrier = await self._fail(refusal)
            except BaseException as error:
                failure = error
        elif isinstance(failure, asyncio.CancelledError):
            self._abandon()
        if (upload := self._let_go()) is not None:
            await upload.stop()
        if carrier is not None:
            return carrier
        assert failure is not None
        try:
            raise failure
        finally:
            failure = None  # its traceback has this frame, which would have it

    def _refusal_for(self, failure: BaseException | None) -> Refusal | None:
        """What is to be said of it, if anything is: who was cut off did not leave."""
        if isinstance(failure, TimeoutError):
            return UpstreamTimeout()
        if isinstance(failure, Refusal):
            return self._exchange.cut or failure
        return self._cut_in_time() if isinstance(failure, asyncio.CancelledError) else None

    async def _pass_in_time(self) -> Relay | Tunnel:
        if not (total := self._rule.total):
            return await self._pass()
        async with asyncio.timeout(total):
            return await self._pass()

    async def _pass(self) -> Relay | Tunnel:
        """All of the answer but its last piece is passed on."""
        if (carrier := self._carrier) is None:
            carrier = self._carry_back(await self._head())
        if not self._has_passed(carrier):
            await carrier.run()
        return carrier

    def _carry_back(self, head: AnswerHead) -> Relay | Tunnel:
        """The agent has answered: what the answer is passed on by."""
        self._exchange.first_byte = self._exchange.clock.monotonic()
        self._carrier = self._carry(head)
        self._is_accepted = True
        if self._rule.says_goodbye:
            self._exchange.farewell = self._take_leave
        return self._carrier

    def _has_passed(self, carrier: Relay | Tunnel) -> bool:
        """Pass on a body that came with its head, or before that was looked at; whether it did."""
        exchange = self._exchange
        if not isinstance(carrier, Relay) or not carrier.pass_whole():
            return False
        exchange.answered = exchange.first_byte
        return True

    def _take_leave(self) -> bool:
        """End a stream by its own protocol, at a drain's deadline; False if it has none, or is in the middle of it.

        Nothing is said here: the last word makes the answer whole, so the books are closed before.
        """
        exchange, carrier, call = self._exchange, self._carrier, self._call
        if carrier is None or call is None or not carrier.can_say_goodbye:
            return False
        exchange.cut = Draining()
        if isinstance(carrier, Relay):
            call.fail(exchange.cut)
        else:
            exchange.code, exchange.outcome = Draining.code, Outcome.FAILED
            carrier.part()
        return True

    def _carry(self, head: AnswerHead) -> Relay | Tunnel:
        exchange, request, call, upload = self._exchange, self._request, self._call, self._upload
        assert call is not None
        assert call.body is not None
        exchange.status = head.status
        exchange.stated, exchange.misstated = head.stated, head.misstated
        exchange.tell_time()
        idle = self._rule.idle
        if head.status == 101:
            protocol = is_switched(head, exchange.head.upgrade)
            return Tunnel(exchange, request, call, head, protocol, idle)
        sent = upload is None or upload.complete
        return Relay(exchange, request, head, call.body, idle, sent and not drain_of(request.app).closing)

    async def _fail(self, refusal: Refusal) -> web.StreamResponse:
        """Raise the refusal while it can still be the answer; afterwards the answer breaks off."""
        exchange, carrier = self._exchange, self._carrier
        begun = carrier is not None and exchange.sent
        if isinstance(refusal, BodyTooLarge) and not begun:
            exchange.void = True  # refused, so it leaves no row (contract, section 7)
        if exchange.reached and not exchange.void:
            exchange.outcome = _outcome_of(refusal)
        if carrier is None or not begun:
            exchange.refused(refusal)  # now: the caller may leave while the agent is let go
            raise refusal
        exchange.code = refusal.code
        if isinstance(refusal, ClientClosed):
            exchange.status = refusal.status
        if (leaver := self._leaver(refusal)) is None:
            carrier.break_off()
        if (upload := self._let_go()) is not None:
            await upload.stop()
        await exchange.close_books()
        if leaver is not None:
            leaver.say_goodbye()
        return carrier.response()

    def _leaver(self, refusal: Refusal) -> Relay | None:
        """What took its leave, so that it need not break off; a tunnel does all that itself."""
        carrier = self._carrier
        takes_leave = self._rule.says_goodbye and isinstance(refusal, Draining)
        return carrier if takes_leave and isinstance(carrier, Relay) else None

    def _cut_in_time(self) -> Refusal | None:
        """Why the gateway itself ended this, if the caller is still there and has nothing of an answer yet."""
        exchange, task, transport = self._exchange, asyncio.current_task(), self._request.transport
        if exchange.cut is None or exchange.sent or exchange.outcome is not None:
            return None
        if task is None or task.uncancel() or transport is None or transport.is_closing():
            return None
        return exchange.cut

    def _abandon(self) -> None:
        """The task was cancelled: the caller left, or the gateway cut it off (the drain's deadline, a revocation)."""
        exchange, carrier = self._exchange, self._carrier
        if exchange.outcome is not None:
            return  # the books are closed already
        if isinstance(carrier, Tunnel) and carrier.closing:
            exchange.outcome = Outcome.DELIVERED  # both sides had said goodbye; who hangs up first says nothing
            return
        if exchange.cut is not None:
            exchange.code = exchange.cut.code
        else:
            exchange.refused(ClientClosed())
        if exchange.reached:
            exchange.outcome = Outcome.FAILED if exchange.cut is not None else Outcome.CLIENT_CLOSED


def _outcome_of(refusal: Refusal) -> Outcome:
    """Whose fault it was: what the caller broke off or sent wrong is the caller's."""
    callers = isinstance(refusal, (ClientClosed, RequestTimeout, BadRequest, BodyTooLarge, HeadersTooLarge))
    return Outcome.CLIENT_CLOSED if callers else Outcome.FAILED
