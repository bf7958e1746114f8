"""The outermost policy: when a request has ended, however it did, everybody who reports is shown its exchange."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import orjson
from aiohttp import web

from gatewayd.errors import ClientClosed
from gatewayd.exchange import Exchange, exchange_of, kept_in
from gatewayd.incoming import Asked
from gatewayd.model import Outcome, rfc3339
from gatewayd.numerals import milliseconds, numeral
from gatewayd.policies.base import Frame, Policy, middleware

logger = logging.getLogger(__name__)

_NULL: Final = "null"
_KEPT: Final = 4096
_LONGEST_KEPT: Final = 256  # characters of what is remembered: callers choose it

Reporter = Callable[[Exchange], None]
REPORTERS: Final = web.AppKey[tuple[Reporter, ...]]("reporters")


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
        reporters = kept_in(request.app, REPORTERS)
        tell(reporters, exchange_of(request))


def tell(reporters: Iterable[Reporter], exchange: Exchange) -> None:
    """The request has ended: show it to everybody. A reporter that fails spoils neither the answer nor the others."""
    exchange.ended = exchange.clock.monotonic()
    for report in reporters:
        try:
            report(exchange)
        except Exception:
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


def line(exchange: Exchange) -> bytes:
    """One JSON object and a newline (contract, section 7). No token, no query, no body is in it.

    Written out, because a dictionary and whoever looks through it would cost as much again. What others choose is
    quoted; the rest are ids, words and numbers of ours.
    """
    started, reached, ended, first_byte = exchange.started, exchange.reached, exchange.ended, exchange.first_byte
    return (
        f'{{"time":"{rfc3339(exchange.started_at)}","request_id":"{exchange.request_id}"'
        f',"trace_id":"{exchange.trace_id}","correlation_id":{_quoted(exchange.correlation_id)}{_caller(exchange)}'
        f"{_call(exchange)}{_ending(exchange)}"
        f',"bytes_in":{numeral(exchange.bytes_in)},"bytes_out":{numeral(exchange.bytes_out)}'
        f',"duration_ms":{milliseconds(ended - started)}'
        f',"upstream_ms":{milliseconds(ended - reached) if reached else _NULL}'
        f',"first_byte_ms":{milliseconds(first_byte - reached) if reached and first_byte else _NULL}'
        f"{_charge(exchange)}"
    ).encode()


class _Saying:
    """What one piece of a line says, and of what besides its key."""

    __slots__ = ("first", "second", "text")

    def __init__(self, first: str, second: str, text: str) -> None:
        self.first = first
        self.second = second
        self.text = text


class _Sayings:
    """Pieces of lines that were written before: each is made of three texts, of which one is the key.

    Mutable: emptied when it is full. What is long is not remembered, since callers choose it.
    """

    __slots__ = ("_by_key",)

    def __init__(self) -> None:
        self._by_key: dict[str, _Saying] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def find(self, key: str, first: str, second: str) -> str:
        """Empty if that was not said before, or something else was said of this key since."""
        known = self._by_key.get(key)
        return known.text if known is not None and known.first == first and known.second == second else ""

    def keep(self, key: str, first: str, second: str, text: str) -> str:
        if len(text) <= _LONGEST_KEPT:
            if len(self._by_key) >= _KEPT:
                self._by_key.clear()
            self._by_key[key] = _Saying(first, second, text)
        return text


_callers: Final = _Sayings()
_calls: Final = _Sayings()
_endings: Final = _Sayings()
_charges: Final = _Sayings()


def _caller(exchange: Exchange) -> str:
    identity, client = exchange.proved, exchange.client
    plan = exchange.plan(identity) if identity is not None else None
    user, name = identity.user if identity is not None else "", plan.name if plan is not None else ""
    return _callers.find(user, client, name) or _callers.keep(
        user, client, name, f',"client":{_quoted(client)},"user":{_quoted(user)},"plan":{_quoted(name)}'
    )


def _call(exchange: Exchange) -> str:
    method, path, name = exchange.method, exchange.target.path, exchange.route.name
    if known := _calls.find(path, method, name):
        return known
    route = _quoted(name)
    return _calls.keep(
        path, method, name, f',"method":{_quoted(method)},"path":{_quoted(path)},"route":{route},"agent":{route}'
    )


def _ending(exchange: Exchange) -> str:
    status, code, outcome = numeral(exchange.status), exchange.code, exchange.outcome
    word: str = outcome if outcome is not None else ""
    return _endings.find(status, code, word) or _endings.keep(
        status, code, word, f',"status":{status},"code":{_quoted(code)},"outcome":{_quoted(word)}'
    )


def _charge(exchange: Exchange) -> str:
    unit, quantity, number = exchange.unit, numeral(exchange.quantity), numeral(exchange.generation.number)
    ignored = exchange.misstated
    if not ignored and (known := _charges.find(unit, quantity, number)):
        return known
    text = (
        f',"unit":{_quoted(unit)},"quantity":{quantity},"quantity_ignored":{"true" if ignored else "false"}'
        f',"generation":{number}}}\n'
    )
    return text if ignored else _charges.keep(unit, quantity, number, text)


_quotations: Final[dict[str, str]] = {"": _NULL}  # of what was said before; emptied when it is full


def _quoted(text: str) -> str:
    """As JSON has it; null for what is empty."""
    known = _quotations.get(text)
    if known is None:
        known = orjson.dumps(text).decode()
        if len(text) <= _LONGEST_KEPT:
            if len(_quotations) >= _KEPT:
                _quotations.clear()
                _quotations[""] = _NULL
            _quotations[text] = known
    return known


POLICY: Final[Policy] = Policy("access_log", middleware(_AccessLog()))
