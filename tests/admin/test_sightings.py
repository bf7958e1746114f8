"""What a worker remembers of requests that went wrong: bounded, and nothing of those that did not."""

from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from gatewayd.admin.sightings import A_SECOND, KEPT, Sightings, merged, sighting
from gatewayd.errors import ClientClosed, InternalError, RateLimited, Refusal, UpstreamTimeout
from gatewayd.exchange import Exchange
from gatewayd.framing import Target
from gatewayd.model import Identity
from tests.admin.overviews import sighting as made
from tests.clocks import ManualClock
from tests.policies.rings import EMAIL, Ring


@pytest.fixture
def ring(clock: ManualClock) -> Ring:
    return Ring(EMAIL, clock)


def ended(ring: Ring, refusal: Refusal | None = None, *, status: int = 200, path: str = "/api/email/x") -> Exchange:
    exchange = Exchange(make_mocked_request("GET", path), ring.generation, ring.clock)
    exchange.target = Target(path, path, "")
    exchange.route = ring.generation.routes.match(path)
    exchange.client = "127.0.0.1"
    exchange.status = status
    if refusal is not None:
        exchange.refused(refusal)
    exchange.ended = ring.clock.monotonic()
    return exchange


def test_what_went_well_leaves_nothing(ring: Ring) -> None:
    sightings = Sightings()
    for status in (200, 302, 404, 499):
        sightings.report(ended(ring, status=status))
    assert sightings.samples() == {"codes": [], "failures": [], "refusals": [], "in_flight": {}}


def test_failures_and_refusals_are_kept_apart_and_callers_who_left_are_only_counted(ring: Ring) -> None:
    sightings = Sightings()
    for refusal in (UpstreamTimeout(), InternalError(), RateLimited(retry_after=1), ClientClosed(), ClientClosed()):
        sightings.report(ended(ring, refusal))
    sightings.report(ended(ring, status=500))
    found = sightings.samples()
    assert [each["code"] for each in found["failures"]] == ["upstream_timeout", "internal_error", None]
    assert [each["code"] for each in found["refusals"]] == ["rate_limited"]
    assert found["codes"] == [
        ["email", "upstream_timeout", 504, 1],
        ["email", "internal_error", 500, 1],
        ["email", "rate_limited", 429, 1],
        ["email", "client_closed", 499, 2],
    ]


def test_a_flood_is_counted_and_only_its_first_in_each_second_are_kept(ring: Ring) -> None:
    sightings = Sightings()
    for _ in range(1000):
        sightings.report(ended(ring, RateLimited(retry_after=1)))
    assert len(sightings.samples()["refusals"]) == A_SECOND
    sightings.report(ended(ring, status=500))
    assert len(sightings.samples()["failures"]) == 1
    for _ in range(10):
        ring.clock.advance(1)
        sightings.report(ended(ring, RateLimited(retry_after=1)))
    assert len(sightings.samples()["refusals"]) == A_SECOND + 10
    assert sightings.samples()["codes"] == [["email", "rate_limited", 429, 1010]]


def test_no_more_are_kept_than_there_is_room_for_and_the_oldest_go_first(ring: Ring) -> None:
    sightings = Sightings()
    for number in range(KEPT + 5):
        ring.clock.advance(1)
        sightings.report(ended(ring, status=500, path=f"/api/email/{number}"))
    paths = [each["path"] for each in sightings.samples()["failures"]]
    assert paths == [f"/api/email/{number}" for number in range(5, KEPT + 5)]


def test_what_callers_choose_is_cut_short_and_can_be_sent(ring: Ring) -> None:
    exchange = ended(ring, status=500, path="/api/email/" + "x" * 10_000)
    exchange._identity = Identity("\ud800" + "u" * 10_000, None, frozenset(), None, None, 0.0)
    exchange._planned = True
    found = sighting(exchange)
    assert len(found["path"]) == len(found["user"]) == 200
    assert found["user"].startswith("?u")
    assert len(str(found).encode()) < 3000


def test_what_is_in_flight_is_told_by_route(ring: Ring) -> None:
    flying = [ended(ring), ended(ring), ended(ring, path="/nowhere")]
    assert Sightings().samples(flying)["in_flight"] == {"email": 2, "": 1}


def part(*ids: str, **more: Any) -> dict[str, Any]:
    return {"codes": [], "failures": [made(each) for each in ids], "refusals": [], "in_flight": {}} | more


def test_several_workers_are_one_the_newest_first() -> None:
    one = part("01", "05", codes=[["email", "x", 502, 1]], in_flight={"email": 1})
    other = part("03", codes=[["email", "x", 502, 2], ["rag", "y", 504, 1]], in_flight={"email": 2})
    found = merged([one, other, {}])
    assert [each["request_id"] for each in found["failures"]] == ["05", "03", "01"]
    assert found["codes"] == [["email", "x", 502, 3], ["rag", "y", 504, 1]]
    assert found["in_flight"] == {"email": 3}


def test_the_sum_of_many_is_no_larger_than_one() -> None:
    many = [part(*(f"{worker:02}{number:02}" for number in range(KEPT))) for worker in range(20)]
    assert len(merged(many)["failures"]) == KEPT
