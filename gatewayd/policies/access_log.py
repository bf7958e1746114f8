"""The outermost policy: when a request has ended, however it did, everybody who reports is shown its exchange."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from gatewayd.errors import ClientClosed
from gatewayd.exchange import Exchange, exchange_of
from gatewayd.incoming import Asked
from gatewayd.kept import Kept
from gatewayd.model import Outcome
from gatewayd.policies.base import Frame, Policy, middleware

logger = logging.getLogger(__name__)

Reporter = Callable[[Exchange], None]
REPORTERS: Final = web.AppKey[tuple[Reporter, ...]]("reporters")
_reporters: Final = Kept(REPORTERS)


class _AccessLog(Frame):
    """Reports each request when it has ended."""

    __slots__ = ()

    def answered(self, request: Asked, response: web.StreamResponse) -> web.StreamResponse:
        exchange = exchange_of(request)
        exchange.status = exchange.status or response.status
        if not exchange.bytes_out and isinstance(response, web.Response) and exchange.method != "HEAD":
            exchange.bytes_out = response.content_length or 0
        return response

    def failed(self, request: Asked, error: BaseException) -> Awaitable[web.StreamResponse] | None:
        exchange = exchange_of(request)
        if isinstance(error, asyncio.CancelledError) and not exchange.status:
            exchange.refused(ClientClosed())
        return None

    def left(self, request: Asked) -> None:
        tell(_reporters.of(request.app), exchange_of(request))


def tell(reporters: tuple[Reporter, ...], exchange: Exchange) -> None:
    """The request has ended: show it to everybody. A reporter that fails spoils neither the answer nor the others."""
    exchange.ended = exchange.clock.monotonic()
    for report in reporters:
        try:
            report(exchange)
        except Exception:
            unreported(exchange)


def unreported(exchange: Exchange) -> None:
    """Say that a reporter failed, whose error is at hand."""
    logger.exception("request %s could not be reported", exchange.request_id)


def is_wanted(exchange: Exchange) -> bool:
    """Whether the request's line is to be written: sampling leaves out only what went as it should.

    Nobody who calls can choose: what decides is the chance in the request's id.
    """
    sample = exchange.generation.sample
    return sample == 1 or _is_noteworthy(exchange) or int(exchange.request_id[-12:], 16) % sample == 0


def _is_noteworthy(exchange: Exchange) -> bool:
    failed = exchange.outcome not in (None, Outcome.DELIVERED)
    return exchange.status >= 400 or exchange.code != "" or failed or exchange.misstated


POLICY: Final[Policy] = Policy("access_log", middleware(_AccessLog()))
