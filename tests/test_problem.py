"""A refusal as RFC 9457 says it."""

import json

import pytest

from gatewayd.errors import ClientClosed, Draining, MethodNotAllowed, QuotaExhausted, RateLimited, TokenMissing
from gatewayd.problem import answer, document
from tests.clocks import ManualClock
from tests.policies.rings import EMAIL, Ring


class Request:
    method = "GET"
    remote = "192.0.2.1"


def test_the_document_has_the_standards_members_then_ours_then_the_refusals() -> None:
    refusal = QuotaExhausted(unit="pages", limit=3, used=3, plan="free", resets_at="2025-12-01T00:00:00Z")
    assert json.loads(document(refusal, "abc", "email")) == {
        "type": "urn:gatewayd:problem:quota_exhausted",
        "title": "The quota is used up",
        "status": 402,
        "detail": "This period's quota of pages does not cover the request.",
        "instance": "urn:gatewayd:request:abc",
        "code": "quota_exhausted",
        "request_id": "abc",
        "agent": "email",
        "unit": "pages",
        "limit": 3,
        "used": 3,
        "plan": "free",
        "resets_at": "2025-12-01T00:00:00Z",
    }


def test_the_answer_has_the_refusals_headers_and_those_that_policies_added(clock: ManualClock) -> None:
    exchange = Ring(EMAIL, clock).generations.begin(Request())  # type: ignore[arg-type]
    exchange.add("RateLimit", '"user-minute";r=0;t=3')
    response = answer(exchange, RateLimited(retry_after=3))
    assert response.status == 429
    assert response.content_type == "application/problem+json"
    assert {name: response.headers[name] for name in ("Retry-After", "RateLimit", "Cache-Control", "Server")} == {
        "Retry-After": "3",
        "RateLimit": '"user-minute";r=0;t=3',
        "Cache-Control": "no-store",
        "Server": "gatewayd",
    }
    assert response.headers["X-Request-ID"] == exchange.request_id
    assert json.loads(response.body or b"")["agent"] is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("refusal", "reason", "keeps"),
    [
        pytest.param(TokenMissing(), "Unauthorized", True, id="a registered status"),
        pytest.param(ClientClosed(), "The caller left", False, id="a status of our own"),
        pytest.param(MethodNotAllowed(("GET",)), "Method Not Allowed", True, id="405"),
        pytest.param(Draining(), "Service Unavailable", False, id="one that closes"),
    ],
)
def test_the_reason_phrase_is_the_registered_one_if_there_is_one(
    clock: ManualClock, refusal: TokenMissing, reason: str, keeps: bool
) -> None:
    exchange = Ring(EMAIL, clock).generations.begin(Request())  # type: ignore[arg-type]
    response = answer(exchange, refusal)
    assert response.reason == reason
    assert (response.keep_alive is not False) is keeps
