"""A request's line of the access log, joined of few pieces, nearly all of which were said of other requests before."""

from typing import Final

import orjson

from gatewayd.exchange import Exchange
from gatewayd.model import Outcome
from gatewayd.numerals import THOUSANDTHS, Milliseconds, microseconds, numeral
from gatewayd.periods import split, written_second
from gatewayd.remembering import remember

_NULL: Final = "null"
_KEPT: Final = 4096
_LONGEST_KEPT: Final = 256  # characters of what is remembered: callers choose it

_MILLISECONDS: Final = [b'.%03dZ","request_id":"' % number for number in range(1000)]
_DURATION: Final = Milliseconds(b',"duration_ms":')
_UPSTREAM: Final = Milliseconds(b',"upstream_ms":')
_FIRST_BYTE: Final = Milliseconds(b',"first_byte_ms":')


def line(exchange: Exchange) -> bytes:
    """One JSON object and a newline (contract, section 7). No token, no query, no body is in it.

    Written out, because a dictionary and whoever looks through it would cost as much again. What others choose is
    quoted; the rest are ids, words and numbers of ours.
    """
    second, thousandth = split(exchange.started_at)
    own = exchange.request_id.encode()
    trace = own if exchange.trace_id is exchange.request_id else exchange.trace_id.encode()
    call = _call(exchange)
    took, reached, first_byte = microseconds(exchange.ended - exchange.started), exchange.reached, exchange.first_byte
    if not (reached and first_byte):
        return b'%b%b%b","trace_id":"%b%b%b%b%b,"first_byte_ms":null%b' % (
            _opening(second),
            _MILLISECONDS[thousandth],
            own,
            trace,
            _caller(exchange),
            call.said(exchange),
            _DURATION.text(took),
            _unanswered(exchange),
            call.charge(exchange),
        )
    waited, came = microseconds(exchange.ended - reached), microseconds(first_byte - reached)
    return b'%b%b%b","trace_id":"%b%b%b%b%b%b%b%b%b%b' % (
        _opening(second),
        _MILLISECONDS[thousandth],
        own,
        trace,
        _caller(exchange),
        call.said(exchange),
        _DURATION.whole(took),
        THOUSANDTHS[took % 1000],
        _UPSTREAM.whole(waited),
        THOUSANDTHS[waited % 1000],
        _FIRST_BYTE.whole(came),
        THOUSANDTHS[came % 1000],
        call.charge(exchange),
    )


def _unanswered(exchange: Exchange) -> bytes:
    """How long an agent was waited for that said nothing."""
    reached = exchange.reached
    return _UPSTREAM.text(microseconds(exchange.ended - reached)) if reached else b',"upstream_ms":null'


class _Opening:
    """How lines of one second begin."""

    __slots__ = ("second", "text")

    def __init__(self, second: int) -> None:
        self.second = second
        self.text = f'{{"time":"{written_second(second)}'.encode()


_openings: Final = [_Opening(0)]  # the last one, replaced as a whole


def _opening(second: int) -> bytes:
    known = _openings[0]
    if known.second != second:
        known = _openings[0] = _Opening(second)
    return known.text


class _Caller:
    """What lines say of a user's last request: where it came from, and by which plan."""

    __slots__ = ("client", "plan", "text")

    def __init__(self, client: str, user: str, plan: str) -> None:
        self.client = client
        self.plan = plan
        said = f'","correlation_id":null,"client":{_quoted(client)},"user":{_quoted(user)},"plan":{_quoted(plan)}'
        self.text = said.encode()


_callers: Final[dict[str, _Caller]] = {}  # by user; emptied when it is full


def _caller(exchange: Exchange) -> bytes:
    identity, client = exchange.proved, exchange.client
    plan = exchange.plan(identity) if identity is not None else None
    user, name = identity.user if identity is not None else "", plan.name if plan is not None else ""
    known = _callers.get(user)
    if known is None or known.client != client or known.plan != name:
        known = _Caller(client, user, name)
        if len(known.text) <= _LONGEST_KEPT:
            remember(_callers, user, known, _KEPT)
    return known.text if not exchange.correlation_id else _correlated(known.text, exchange.correlation_id)


def _correlated(text: bytes, correlation_id: str) -> bytes:
    """Whose correlation id is another each time, as a trusted proxy's are."""
    return text.replace(b"null", orjson.dumps(correlation_id), 1)


class _Call:
    """What lines say of a path's last request: how it was called and ended, how much it moved, and what it cost.

    Each piece is made anew when something that it says is other than the last time. Mutable: it remembers the last.
    """

    __slots__ = (
        "_bytes_in",
        "_bytes_out",
        "_charge",
        "_code",
        "_ended",
        "_method",
        "_number",
        "_outcome",
        "_quantity",
        "_route",
        "_said",
        "_status",
        "_unit",
        "path",
    )

    def __init__(self, path: str) -> None:
        self.path = path
        self._ended = self._said = self._charge = b""
        self._method = self._route = self._code = self._unit = ""
        self._outcome: Outcome | None = None
        self._status = self._bytes_in = self._bytes_out = self._quantity = self._number = 0

    def said(self, exchange: Exchange) -> bytes:
        """How it was called and ended, and how much it moved."""
        method, route, status = exchange.method, exchange.route.name, exchange.status
        code, outcome = exchange.code, exchange.outcome
        if (
            not self._ended
            or self._status != status
            or self._outcome is not outcome
            or self._method != method
            or self._route != route
            or self._code != code
        ):
            name = _quoted(route)
            self._ended = (
                f',"method":{_quoted(method)},"path":{_quoted(self.path)},"route":{name},"agent":{name}'
                f',"status":{numeral(status)},"code":{_quoted(code)}'
                f',"outcome":{_quoted(outcome if outcome is not None else "")}'
            ).encode()
            self._method, self._route, self._status = method, route, status
            self._code, self._outcome = code, outcome
            self._said = b""
        bytes_in, bytes_out = exchange.bytes_in, exchange.bytes_out
        if not self._said or self._bytes_in != bytes_in or self._bytes_out != bytes_out:
            self._bytes_in, self._bytes_out = bytes_in, bytes_out
            sizes = f',"bytes_in":{numeral(bytes_in)},"bytes_out":{numeral(bytes_out)}'
            self._said = self._ended + sizes.encode()
        return self._said

    def charge(self, exchange: Exchange) -> bytes:
        """It is the line's end, too."""
        unit, quantity, number = exchange.unit, exchange.quantity, exchange.generation.number
        if exchange.misstated:
            return _charge(unit, quantity, "true", number)
        if self._quantity != quantity or self._number != number or self._unit != unit or not self._charge:
            self._charge = _charge(unit, quantity, "false", number)
            self._unit, self._quantity, self._number = unit, quantity, number
        return self._charge


def _charge(unit: str, quantity: int, ignored: str, number: int) -> bytes:
    return (
        f',"unit":{_quoted(unit)},"quantity":{numeral(quantity)},"quantity_ignored":{ignored}'
        f',"generation":{numeral(number)}}}\n'
    ).encode()


_calls: Final[dict[str, _Call]] = {}  # by path; emptied when it is full
_latest: Final = [_Call("")]  # the one that was asked for last, replaced as a whole


def _call(exchange: Exchange) -> _Call:
    path = exchange.target.path
    latest = _latest[0]
    if latest.path is path:
        return latest
    known = _latest[0] = _found(path)
    return known


def _found(path: str) -> _Call:
    known = _calls.get(path)
    if known is None:
        known = _Call(path)
        if len(path) <= _LONGEST_KEPT:
            remember(_calls, path, known, _KEPT)
    return known


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
