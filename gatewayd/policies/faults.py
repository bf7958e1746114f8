"""Whatever goes wrong further in becomes a problem document here, and nowhere else, once its books are closed."""

import logging
from typing import Final

from aiohttp import web
from aiohttp.http import HttpVersion11

from gatewayd.errors import InternalError, Refusal, RouteUnknown
from gatewayd.exchange import exchange_of
from gatewayd.incoming import Asked
from gatewayd.policies.base import Inner, Policy, middleware
from gatewayd.problem import answer
from gatewayd.sent import BrokenOff

logger = logging.getLogger(__name__)


@middleware
async def faults(request: Asked, handler: Inner) -> web.StreamResponse:
    exchange = exchange_of(request)
    refusal: Refusal
    try:
        response = await handler(request)
        exchange.conclude()  # whoever answers has done so, unless nobody had to be waited for
        return response
    except Refusal as refused:
        refusal = refused
    except web.HTTPException:  # aiohttp found no path in the target, and nobody further out refused it
        refusal = RouteUnknown()
    except Exception:
        logger.exception("request %s failed inside the gateway", exchange.request_id)
        refusal = InternalError("The gateway failed; its log has the reason under this request id.")
    except BaseException:
        exchange.conclude()  # the caller left, or we did: submitted all the same, awaited by nobody
        raise
    await exchange.fail(refusal)
    if exchange.sent:  # an answer that has begun cannot become another one, nor may it look complete
        return BrokenOff(request, reset=request.version < HttpVersion11)
    return answer(exchange, refusal)


POLICY: Final[Policy] = Policy("faults", faults)
