"""A refusal as RFC 9457 says it. It carries facts about the gateway, never what the caller sent."""

from http import HTTPStatus

import orjson
from aiohttp import web

from gatewayd.errors import Refusal
from gatewayd.exchange import Exchange


def document(refusal: Refusal, request_id: str, agent: str | None) -> bytes:
    """The problem document (RFC 9457 section 3.1) with our members `code`, `request_id` and `agent`."""
    return orjson.dumps(
        {
            "type": f"urn:gatewayd:problem:{refusal.code}",
            "title": refusal.title,
            "status": refusal.status,
            "detail": refusal.detail,
            "instance": f"urn:gatewayd:request:{request_id}",
            "code": refusal.code,
            "request_id": request_id,
            "agent": agent,
            **refusal.members,
        }
    )


def answer(exchange: Exchange, refusal: Refusal) -> web.Response:
    """The refusal as a response, with what the policies passed so far add to every answer."""
    response = web.Response(
        status=refusal.status,
        reason=_reason(refusal),
        body=document(refusal, exchange.request_id, exchange.route.name or None),
        content_type="application/problem+json",
    )
    response.headers["Cache-Control"] = "no-store"
    response.headers["Server"] = "gatewayd"
    exchange.tell_time()
    for name, value in (*exchange.fields, *refusal.headers):
        response.headers[name] = value
    if refusal.closes or _leaves_body_open(exchange):
        response.force_close()
    return response


def _leaves_body_open(exchange: Exchange) -> bool:
    """Who waited for 100 Continue may send the body or leave it: what comes next could be either (RFC 9110 10.1.1)."""
    return exchange.head.expects_continue and not exchange.request.content.is_eof()


def _reason(refusal: Refusal) -> str:
    try:
        return HTTPStatus(refusal.status).phrase
    except ValueError:
        return refusal.title
