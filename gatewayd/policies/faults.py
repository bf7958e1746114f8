"""Whatever goes wrong further in becomes a problem document here, and nowhere else, once its books are closed."""

import logging
from collections.abc import Awaitable
from typing import Final

from aiohttp import web
from aiohttp.http import HttpVersion11

from gatewayd.errors import InternalError, Refusal, RouteUnknown
from gatewayd.exchange import Exchange, exchange_of
from gatewayd.incoming import Asked
from gatewayd.policies.base import Frame, Policy, middleware
from gatewayd.problem import answer
from gatewayd.sent import BrokenOff

logger = logging.getLogger(__name__)


class _Faults(Frame):
    """Answers what went wrong further in."""

    __slots__ = ()

    def answered(self, request: Asked, response: web.StreamResponse) -> web.StreamResponse:
        exchange_of(request).conclude()  # whoever answers has done so, unless nobody had to be waited for
        return response

    def failed(self, request: Asked, error: BaseException) -> Awaitable[web.StreamResponse] | None:
        exchange = exchange_of(request)
        if isinstance(error, Refusal):
            return _answer(request, exchange, error)
        if isinstance(error, web.HTTPException):  # aiohttp found no path in the target, and nobody further out did
            return _answer(request, exchange, RouteUnknown())
        if isinstance(error, Exception):
            logger.error("request %s failed inside the gateway", exchange.request_id, exc_info=error)
            refusal = InternalError("The gateway failed; its log has the reason under this request id.")
            return _answer(request, exchange, refusal)
        exchange.conclude()  # the caller left, or we did: submitted all the same, awaited by nobody
        return None


async def _answer(request: Asked, exchange: Exchange, refusal: Refusal) -> web.StreamResponse:
    await exchange.fail(refusal)
    if exchange.sent:  # an answer that has begun cannot become another one, nor may it look complete
        return BrokenOff(request, reset=request.version < HttpVersion11)
    return answer(exchange, refusal)


POLICY: Final[Policy] = Policy("faults", middleware(_Faults()))
