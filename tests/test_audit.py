"""The audit log has every refusal and every action of an operator, and nothing that nobody decided."""

import json
from pathlib import Path

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from gatewayd import errors
from gatewayd.audit import action_line, append, is_refusal, missing_line, refusal_line
from gatewayd.outlets import LinesLost
from gatewayd.policies import access_log, auth, faults
from tests.clocks import ManualClock
from tests.policies.rings import EMAIL, Ring
from tests.problems import ask

DECIDED: list[type[errors.Refusal]] = [
    errors.BadRequest,
    errors.BodyTooLarge,
    errors.Draining,
    errors.HeadersTooLarge,
    errors.Overloaded,
    errors.QuotaExhausted,
    errors.RateLimited,
    errors.RequestTimeout,
    errors.RoleDenied,
    errors.RouteUnknown,
    errors.StoreUnavailable,
    errors.TokenExpired,
    errors.TokenInvalid,
    errors.TokenMissing,
    errors.UriTooLong,
    errors.VersionUnsupported,
]
NOT_DECIDED: list[type[errors.Refusal]] = [
    errors.ClientClosed,
    errors.InternalError,
    errors.UpstreamConnect,
    errors.UpstreamProtocol,
    errors.UpstreamReset,
    errors.UpstreamTimeout,
]


@pytest.mark.parametrize("kind", DECIDED + NOT_DECIDED, ids=lambda kind: kind.__name__)
async def test_what_the_gateway_decided_is_a_refusal(
    aiohttp_client: AiohttpClient, clock: ManualClock, kind: type[errors.Refusal]
) -> None:
    ring = Ring(EMAIL, clock, access_log.POLICY, faults.POLICY)
    await ask(await aiohttp_client(ring.app), "/api/email/x")
    [exchange] = ring.reported
    assert not is_refusal(exchange)
    exchange.status, exchange.code = kind.status, kind.code
    assert is_refusal(exchange) == (kind in DECIDED)


async def test_a_refusals_line_says_who_what_and_why_and_no_more(
    aiohttp_client: AiohttpClient, clock: ManualClock
) -> None:
    ring = Ring(EMAIL + "roles = ['admin']\n", clock, access_log.POLICY, faults.POLICY, auth.POLICY)
    headers = ring.bearer("ann")
    await ask(await aiohttp_client(ring.app), "/api/email/x?secret=query", headers)
    [exchange] = ring.reported
    line = refusal_line(exchange)
    assert line.endswith(b"}\n")
    assert json.loads(line) == {
        "time": "2025-11-24T16:00:00.000Z",
        "event": "refused",
        "code": "role_denied",
        "status": 403,
        "request_id": exchange.request_id,
        "trace_id": exchange.trace_id,
        "client": "127.0.0.1",
        "user": "ann",
        "plan": None,
        "method": "GET",
        "path": "/api/email/x",
        "route": "email",
        "generation": 1,
    }
    assert headers["Authorization"].encode().split()[1] not in line


def test_an_action_says_who_did_what_and_from_where(tmp_path: Path) -> None:
    line = action_line(0.0, "revoke", {"user": "ann\n"}, by="root", origin="command line")
    append(str(tmp_path / "audit.log"), line)
    append(str(tmp_path / "audit.log"), line)
    first, second = (tmp_path / "audit.log").read_text().splitlines()
    assert first == second
    assert json.loads(first) == {
        "time": "1970-01-01T00:00:00.000Z",
        "event": "action",
        "action": "revoke",
        "by": "root",
        "from": "command line",
        "result": "done",
        "user": "ann\n",
    }


@pytest.mark.parametrize(("target", "said"), [("", ("", "line\n")), ("-", ("line\n", ""))])
def test_without_a_place_of_its_own_a_line_is_in_the_processs_own_log(
    target: str, said: tuple[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    append(target, b"line\n")
    assert capfd.readouterr() == said


def test_what_an_action_was_done_to_says_nothing_else_of_it() -> None:
    subject = {"by": "root", "from": "here", "time": "never", "event": "refused", "user": "ann"}
    found = json.loads(action_line(0.0, "revoke", subject, by="eve", origin="there"))
    assert (found["by"], found["from"], found["event"], found["user"]) == ("eve", "there", "action", "ann")
    assert found["time"].startswith("1970")


@pytest.mark.parametrize("target", ["/dev/full", "/no/such/place"])
def test_what_cannot_be_appended_is_said(target: str) -> None:
    with pytest.raises(LinesLost):
        append(target, b"line\n")


def test_lines_that_are_missing_are_a_line() -> None:
    assert json.loads(missing_line(0.0, 7)) == {
        "time": "1970-01-01T00:00:00.000Z",
        "event": "lines_dropped",
        "dropped": 7,
    }
