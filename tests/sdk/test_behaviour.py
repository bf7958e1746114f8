"""One suite for both clients, against servers that say exactly what they are told."""

import json
from typing import Any

import gatewayd_sdk as sdk
import pytest
from gatewayd_sdk._blocking import caller as blocking

from tests.sdk.clients import CUT, KINDS, field, http, sent, server, using

pytestmark = pytest.mark.parametrize("kind", KINDS)
USAGE = json.dumps({"user": "ann", "plan": "free", "units": []})
PAGE = json.dumps({"url": "u", "status": 200, "title": "", "text": "", "word_count": 0})


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses before repeats, which take no time here."""
    kept: list[float] = []

    async def pause(seconds: float) -> None:
        kept.append(seconds)

    monkeypatch.setattr("gatewayd_sdk._asyncio.caller.pause", pause)
    monkeypatch.setattr(blocking, "pause", kept.append)
    return kept


def current(client: Any) -> Any:
    return client.usage.current()


def scrape(client: Any) -> Any:
    return client.scraper.scrape("http://127.0.0.1/")


async def refused(kind: str, answer: bytes, do: Any = current, **options: Any) -> Any:
    async with server(answer) as agent:
        with pytest.raises(sdk.GatewayError) as caught:
            await using(kind, f"http://127.0.0.1:{agent.port}", do, **options)
    return caught.value


async def test_a_result_says_what_the_answer_said_of_the_call(kind: str) -> None:
    limits = ('RateLimit-Policy: "user-minute";q=60;w=60', 'RateLimit: "user-minute";r=59;t=1')
    document = json.dumps({"user": "ann", "plan": None, "units": [], "new": 1})
    async with server(http(200, document, *limits, "X-Usage-Quantity: 3")) as agent:
        result = await using(kind, f"http://127.0.0.1:{agent.port}/", current, token="t0ken")
    assert (result.user, result.plan, result.units, dict(result.extra)) == ("ann", None, (), {"new": 1})
    assert (result.request_id, result.usage.quantity) == ("req-1", 3)
    assert result.rate_limit.windows == (sdk.RateLimitWindow("user-minute", 59, 1, 60, 60),)
    (head,) = sent(agent)
    assert head.startswith(b"GET /gateway/v1/usage HTTP/1.1\r\n")
    assert field(head, "Authorization") == "Bearer t0ken"
    assert (field(head, "Idempotency-Key"), field(head, "Accept")) == (None, "application/json")


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
async def test_what_may_pass_is_repeated_twice_with_the_same_key(kind: str, status: int, waits: list[float]) -> None:
    async with server(http(status), http(status), http(200, PAGE)) as agent:
        result = await using(kind, f"http://127.0.0.1:{agent.port}", scrape)
    assert result.word_count == 0
    keys = {field(head, "Idempotency-Key") for head in sent(agent)}
    assert (len(sent(agent)), len(waits), len(keys)) == (3, 2, 1)
    assert None not in keys


async def test_a_connection_that_breaks_off_is_tried_again(kind: str, waits: list[float]) -> None:
    async with server(b"", http(200, PAGE)[:-5] + CUT, http(200, PAGE)) as agent:
        result = await using(kind, f"http://127.0.0.1:{agent.port}", scrape)
    assert result.url == "u"
    assert 0.375 <= waits[0] <= 0.5
    assert 0.75 <= waits[1] <= 1.0


async def test_a_broken_answer_is_never_taken_for_whole(kind: str) -> None:
    error = await refused(kind, http(200, USAGE)[:-5] + CUT, max_retries=0)
    assert type(error) is sdk.APIConnectionError


async def test_nobody_listening_is_no_timeout(kind: str, waits: list[float]) -> None:
    async with server(b"") as agent:
        pass
    with pytest.raises(sdk.APIConnectionError, match="is gatewayd running there") as caught:
        await using(kind, f"http://127.0.0.1:{agent.port}", current)
    assert type(caught.value) is sdk.APIConnectionError
    assert len(waits) == 2


async def test_retry_after_is_waited_for_in_full(kind: str, waits: list[float]) -> None:
    async with server(http(429, "", "Retry-After: 7"), http(200, USAGE)) as agent:
        await using(kind, f"http://127.0.0.1:{agent.port}", current)
    assert waits == [7]


@pytest.mark.parametrize(
    "answer",
    [http(402, "", "x-should-retry: true"), http(503, "", "x-should-retry: false"), http(400), http(500)],
    ids=["402", "told not to", "400", "500"],
)
async def test_what_will_not_pass_is_not_repeated(kind: str, answer: bytes, waits: list[float]) -> None:
    error = await refused(kind, answer)
    assert isinstance(error, sdk.APIStatusError)
    assert not waits


async def test_a_retry_after_longer_than_a_minute_is_for_the_caller(kind: str, waits: list[float]) -> None:
    error = await refused(kind, http(429, "", "Retry-After: 61"))
    assert isinstance(error, sdk.RateLimitError)
    assert error.retry_after == 61
    assert not waits


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, sdk.AuthenticationError),
        (402, sdk.QuotaExceededError),
        (403, sdk.PermissionDeniedError),
        (404, sdk.NotFoundError),
        (429, sdk.RateLimitError),
        (502, sdk.BadGatewayError),
        (503, sdk.UnavailableError),
        (504, sdk.GatewayTimeoutError),
        (418, sdk.APIStatusError),
    ],
)
async def test_each_status_has_its_error(kind: str, status: int, expected: type[sdk.APIStatusError]) -> None:
    problem = json.dumps({"code": "what_happened", "detail": "So it went."})
    error = await refused(kind, http(status, problem), max_retries=0)
    assert type(error) is expected
    assert (error.status, error.code, error.request_id) == (status, "what_happened", "req-1")
    assert error.body == {"code": "what_happened", "detail": "So it went."}
    assert "So it went." in str(error)
    assert "(request req-1)" in str(error)


async def test_an_expired_token_is_refreshed_once(kind: str) -> None:
    tokens = iter(["old", "new"])
    expired = http(401, json.dumps({"code": "token_expired"}))
    async with server(expired, http(200, USAGE)) as agent:
        await using(kind, f"http://127.0.0.1:{agent.port}", current, token=lambda: next(tokens))
    assert [field(head, "Authorization") for head in sent(agent)] == ["Bearer old", "Bearer new"]


async def test_a_token_that_stays_refused_is_an_error(kind: str) -> None:
    error = await refused(kind, http(401, json.dumps({"code": "token_expired"})), token=lambda: "always")
    assert isinstance(error, sdk.AuthenticationError)


@pytest.mark.parametrize(
    ("answer", "expected", "told"),
    [
        (http(200, "<html>", "Content-Type: text/html"), sdk.APIResponseError, "text/html"),
        (http(200, "[1]"), sdk.APIResponseError, "list"),
        (http(200, '{"user": "ann"}'), sdk.APIResponseError, "plan is missing"),
        (http(200, '{"user": 1, "plan": null, "units": []}'), sdk.APIResponseError, "user: str is needed"),
        (http(302, "", "Location: /login"), sdk.APIStatusError, "base URL"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", sdk.APIConnectionError, "gatewayd running there"),
        (b"", sdk.APIConnectionError, "gatewayd running there"),
        (http(401, "", "Date: Tue, 15 Nov 1994 08:12:31 GMT"), sdk.AuthenticationError, "clock"),
    ],
    ids=["html", "no object", "member missing", "member wrong", "redirect", "no HTTP", "closed", "clock"],
)
async def test_a_strange_answer_is_an_error_that_says_what_to_do(
    kind: str, answer: bytes, expected: type[Exception], told: str
) -> None:
    error = await refused(kind, answer, max_retries=0, token="s3cret")
    assert type(error) is expected
    assert told in str(error)
    assert "s3cret" not in str(error)


async def test_silence_ends_as_a_timeout(kind: str) -> None:
    error = await refused(kind, b"HTTP/1.1 200 OK\r\n", max_retries=0, timeout=sdk.Timeout(idle=0.1))
    assert type(error) is sdk.APITimeoutError


async def test_a_connection_is_used_again(kind: str) -> None:
    async def twice_async(client: Any) -> Any:
        await client.usage.current()
        return await client.usage.current()

    def twice_blocking(client: Any) -> Any:
        client.usage.current()
        return client.usage.current()

    async with server(http(200, USAGE)) as agent:
        url = f"http://127.0.0.1:{agent.port}"
        await using(kind, url, twice_async if kind == "asyncio" else twice_blocking)
    assert len(agent.received) == 1


async def using_closed(client: Any, kind: str) -> Any:
    return await client.usage.current() if kind == "asyncio" else client.usage.current()


async def test_a_closed_client_says_so(kind: str) -> None:
    async with server(http(200, USAGE)) as agent:
        kept: list[Any] = []
        url = f"http://127.0.0.1:{agent.port}"

        async def keep(client: Any) -> None:
            kept.append(client)

        await using(kind, url, keep if kind == "asyncio" else kept.append)
        with pytest.raises(sdk.ConfigurationError, match="closed"):
            await using_closed(kept[0], kind)


async def test_options_of_one_client_leave_the_other_alone(kind: str, waits: list[float]) -> None:
    def once(client: Any) -> Any:
        return client.with_options(max_retries=0, headers={"X-A": "b"}).usage.current()

    async with server(http(503)) as agent:
        url = f"http://127.0.0.1:{agent.port}"
        with pytest.raises(sdk.UnavailableError):
            await using(
                kind, url, lambda client: client.with_options(max_retries=0, headers={"X-A": "b"}).usage.current()
            )
        with pytest.raises(sdk.UnavailableError):
            await using(kind, url, current, max_retries=1)
    assert [field(head, "X-A") for head in sent(agent)] == ["b", None, None]
    assert len(waits) == 1


async def test_any_route_can_be_asked(kind: str) -> None:
    def ask(client: Any) -> Any:
        return client.request("POST", "/api/x/y", json={"a": 1}, query={"q": "ä b", "none": None})

    async with server(http(201, "plain")) as agent:
        response = await using(kind, f"http://127.0.0.1:{agent.port}", ask)
    assert (response.status, response.content, response.request_id) == (201, b"plain", "req-1")
    assert bytes(agent.received[0]).startswith(b"POST /api/x/y?q=%C3%A4+b HTTP/1.1\r\n")
    assert bytes(agent.received[0]).endswith(b'\r\n\r\n{"a":1}')
    with pytest.raises(sdk.APIResponseError):
        response.json()


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.request("GET", "no slash"),
        lambda client: client.request("G T", "/"),
        lambda client: client.request("GET", "/", headers={"X-A": "b\r\nX-C: d"}),
        lambda client: client.request("GET", "/", headers={"X A": "b"}),
    ],
    ids=["path", "method", "value", "name"],
)
async def test_what_cannot_be_sent_is_refused_here(kind: str, ask: Any) -> None:
    with pytest.raises(sdk.ConfigurationError):
        await using(kind, "http://127.0.0.1:9", ask)


async def test_a_token_that_cannot_be_sent_is_not_quoted(kind: str) -> None:
    with pytest.raises(sdk.ConfigurationError) as caught:
        await using(kind, "http://127.0.0.1:9", current, token="s3cret\n")
    assert "s3cret" not in str(caught.value)
