"""One suite for both clients, against servers that say exactly what they are told."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import gatewayd_sdk as sdk
import pytest
from gatewayd_sdk._blocking import caller as blocking

from tests.sdk.clients import CUT, KINDS, each, field, http, items, listed, listening, sent, server, using

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


async def test_one_refresh_is_enough_for_all_that_wait_for_it(kind: str) -> None:
    made: list[str] = []
    holders: list[bytes] = []
    all_have_it = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Refuses the first token, and only once five calls have it."""
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if b"Bearer token-1" not in head:
                writer.write(http(200, USAGE))
                continue
            holders.append(head)
            if len(holders) == 5:
                all_have_it.set()
            await all_have_it.wait()
            writer.write(http(401, json.dumps({"code": "token_expired"})))

    def token() -> str:
        made.append(f"token-{len(made) + 1}")
        return made[-1]

    async def scenario(client: Any) -> Any:
        if kind == "asyncio":
            return await asyncio.gather(*(client.usage.current() for _ in range(5)))
        return await asyncio.gather(*(asyncio.to_thread(client.usage.current) for _ in range(5)))

    async with listening(script) as agent:
        results = await using(kind, f"http://127.0.0.1:{agent.port}", scenario, token=token)
    assert [result.user for result in results] == ["ann"] * 5
    assert made == ["token-1", "token-2"]


def failing() -> str:
    raise OSError("the vault is closed: s3cret")


@pytest.mark.parametrize(
    ("token", "told"), [(failing, "raised OSError"), (lambda: 7, "not int")], ids=["raises", "int"]
)
async def test_a_token_that_cannot_be_made_is_told(kind: str, token: Any, told: str) -> None:
    with pytest.raises(sdk.ConfigurationError, match=told) as caught:
        await using(kind, "http://127.0.0.1:9", current, token=token)
    assert "s3cret" not in str(caught.value)


async def test_a_web_worker_calls_with_each_users_own_token(kind: str) -> None:
    async def scenario(client: Any) -> Any:
        await each(client.with_options(token="anns").usage.current())
        await each(client.with_options(token=lambda: "bobs").usage.current())
        await each(client.usage.current())
        await each(client.with_options(headers={"Authorization": "Basic x"}).usage.current())
        await each(client.request("GET", "/gateway/v1/usage", headers={"Authorization": "Basic y"}))

    async with server(http(200, USAGE)) as agent:
        await using(kind, f"http://127.0.0.1:{agent.port}", scenario, token="own")
    told = [field(head, "Authorization") for head in sent(agent)]
    assert told == ["Bearer anns", "Bearer bobs", "Bearer own", "Bearer own", "Basic y"]
    assert len(agent.received) == 1


@pytest.mark.parametrize("again", [True, False], ids=["bytes", "pieces"])
async def test_a_body_is_sent_again_only_if_it_can_be(kind: str, again: bool, waits: list[float]) -> None:
    uploaded = {"id": "d", "title": "t", "kind": "text", "characters": 1, "passages": 1}
    answer = http(201, json.dumps({**uploaded, "uploaded_at": "2026-12-01T00:00:00Z"}))

    def do(client: Any) -> Any:
        return client.rag.upload_document(b"text" if again else iter([b"te", b"xt"]), filename="a.txt")

    async with server(http(503, '{"code": "draining"}'), answer) as agent:
        work = using(kind, f"http://127.0.0.1:{agent.port}", do)
        if again:
            assert (await work).id == "d"
        else:
            with pytest.raises(sdk.UnavailableError):
                await work
    bodies = [bytes(each_one).partition(b"\r\n\r\n")[2] for each_one in agent.received]
    keys = {field(head, "Idempotency-Key") for head in sent(agent)}
    assert (len(waits), len(keys)) == (1 if again else 0, 1)
    assert bodies[0].count(b'name="file"; filename="a.txt"') == (2 if again else 1)
    assert (b"Transfer-Encoding" in bytes(agent.received[0])) is not again


async def test_a_stream_that_was_not_begun_is_tried_again(kind: str, waits: list[float]) -> None:
    pieces = iter([b"text"])
    with pytest.raises(sdk.APIConnectionError):
        await using(kind, "http://127.0.0.1:9", lambda client: client.rag.upload_document(pieces))
    assert len(waits) == 2
    assert next(pieces) == b"text"


@pytest.mark.parametrize("where", ["stream", "progress"])
async def test_what_the_callers_own_code_raises_comes_back_as_it_is(kind: str, where: str, waits: list[float]) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"a" * 100_000
        if where == "stream":
            raise KeyError("the caller's own")

    def progress(*_: object) -> None:
        if where == "progress":
            raise KeyError("the caller's own")

    async with server(http(200)) as agent:
        with pytest.raises(KeyError, match="own"):
            await using(
                kind,
                f"http://127.0.0.1:{agent.port}",
                lambda client: client.rag.upload_document(pieces(), progress=progress),
            )
    assert not waits


async def test_asynchronous_pieces_are_for_the_asynchronous_client(kind: str) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"te"
        yield b"xt"

    async with server(http(200, "{}")) as agent:
        work = using(kind, f"http://127.0.0.1:{agent.port}", lambda client: client.rag.upload_document(pieces()))
        if kind == "asyncio":
            with pytest.raises(sdk.APIResponseError, match="id is missing"):
                await work
            assert b"\r\n2\r\nte\r\n2\r\nxt\r\n" in bytes(agent.received[0])
        else:
            with pytest.raises(sdk.ConfigurationError, match="AsyncGateway"):
                await work


async def test_an_answer_is_given_raw_and_read_when_asked(kind: str) -> None:
    async def scenario(client: Any) -> Any:
        return await each(client.with_raw_response.usage.current()), await each(client.with_raw_response.rag.chat("?"))

    async with server(http(200, USAGE, "X-More: 1"), http(200, "<html>")) as agent:
        good, bad = await using(kind, f"http://127.0.0.1:{agent.port}", scenario)
    assert (good.status, good.headers["x-more"], good.content.decode(), good.request_id) == (200, "1", USAGE, "req-1")
    assert good.parse().user == "ann"
    assert good.text == USAGE
    assert good.json() == json.loads(USAGE)
    with pytest.raises(sdk.APIResponseError, match="not JSON"):
        bad.parse()


async def test_the_log_tells_attempts_and_repeats_and_no_secret(
    kind: str, caplog: pytest.LogCaptureFixture, waits: list[float]
) -> None:
    caplog.set_level("DEBUG", "gatewayd_sdk")

    def do(client: Any) -> Any:
        return client.request("POST", "/api/x/y", json={"body": "s3cret"}, query={"q": "s3cret"})

    answers = (http(503, '{"code": "draining", "detail": "s3cret"}', "Retry-After: 3"), b"", http(200, "s3cret"))
    async with server(*answers) as agent:
        await using(kind, f"http://127.0.0.1:{agent.port}", do, token="s3cret")
    told = [record.getMessage() for record in caplog.records if record.name == "gatewayd_sdk"]
    assert "503, request req-1" in told[0]
    assert told[0].startswith("POST /api/x/y: ")
    assert told[1] == "503 draining; tried again in 3.0 s"
    assert "no answer" in told[2]
    assert "s3cret" not in "".join(told)


async def test_a_paced_client_waits_instead_of_being_refused(kind: str, waits: list[float]) -> None:
    limits = ('RateLimit-Policy: "user-minute";q=60;w=600', 'RateLimit: "user-minute";r=0;t=600')

    async def scenario(client: Any) -> Any:
        await each(client.scraper.scrape("http://a/"))
        await each(client.scraper.scrape("http://a/"))
        with pytest.raises(sdk.APITimeoutError, match="nothing was sent"):
            await each(client.with_options(timeout=sdk.Timeout(total=0.5)).scraper.scrape("http://a/"))

    async with server(http(200, PAGE, *limits)) as agent:
        await using(kind, f"http://127.0.0.1:{agent.port}", scenario, pacer=sdk.Pacer())
    assert len(sent(agent)) == 2
    assert waits == [pytest.approx(10.0, abs=5.0)]


async def test_a_history_that_was_not_begun_knows_of_no_call(kind: str) -> None:
    def page(number: int, cursor: str | None) -> bytes:
        letter = {"id": str(number), "from": "", "subject": "", "category": "", "urgency": "", "preview": ""}
        items = [{**letter, "received_at": "2026-12-01T00:00:00Z"}]
        return http(200, json.dumps({"items": items, "next_cursor": cursor}), "X-Usage-Quantity: 1")

    async def scenario(client: Any) -> Any:
        history = client.email.history(category="sales", page_size=1)
        before = history.request_id, history.usage, history.rate_limit
        return before, [letter.id async for letter in items(history)], history, await listed(history.pages())

    async with server(page(1, "c 1"), page(2, None), page(3, None)) as agent:
        before, letters, history, pages = await using(kind, f"http://127.0.0.1:{agent.port}", scenario)
    assert before == (None, None, None)
    assert letters == ["1", "2"]
    assert [page.items[0].id for page in pages] == ["3"]
    assert (history.request_id, history.usage.quantity, history.rate_limit) == ("req-1", 1, None)
    targets = [head.split(b" ")[1].partition(b"?")[2] for head in sent(agent)]
    assert targets == [b"category=sales&limit=1", b"category=sales&limit=1&cursor=c+1", b"category=sales&limit=1"]


async def test_bytes_of_any_type_can_be_sent(kind: str) -> None:
    async def scenario(client: Any) -> Any:
        await each(client.request("put", "/api/x", content=b"abc"))
        await each(client.request("PUT", "/api/x?a=1", content=b"abc", headers={"Content-Type": "a/b"}, query={"b": 2}))

    async with server(http(204)) as agent:
        await using(kind, f"http://127.0.0.1:{agent.port}", scenario)
    first, second = sent(agent)
    assert first.startswith(b"PUT /api/x HTTP/1.1")
    assert b"PUT /api/x?a=1&b=2 HTTP/1.1" in second
    assert [field(head, "Content-Type") for head in (first, second)] == ["application/octet-stream", "a/b"]
    assert field(first, "Idempotency-Key") is None


async def test_a_history_in_a_circle_is_left(kind: str) -> None:
    page = http(200, '{"items": [], "next_cursor": "same"}')
    with pytest.raises(sdk.APIResponseError, match="circle"):
        async with server(page) as agent:
            await using(kind, f"http://127.0.0.1:{agent.port}", lambda client: listed(client.email.history()))


async def test_informational_answers_are_passed_over(kind: str) -> None:
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    async with server(early + http(200, USAGE)) as agent:
        assert (await using(kind, f"http://127.0.0.1:{agent.port}", current)).user == "ann"


async def test_head_has_no_body_to_wait_for(kind: str) -> None:
    def do(client: Any) -> Any:
        return client.request("HEAD", "/api/x")

    async with server(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n") as agent:
        response = await using(kind, f"http://127.0.0.1:{agent.port}", do)
    assert (response.content, response.headers["content-length"]) == (b"", "7")


async def test_compressed_answers_are_read(kind: str) -> None:
    async with server(http(200, gzip.compress(USAGE.encode()), "Content-Encoding: gzip")) as agent:
        assert (await using(kind, f"http://127.0.0.1:{agent.port}", current)).user == "ann"


@pytest.mark.parametrize("status", [200, 404])
async def test_a_page_of_somebody_else_asks_for_the_base_url(kind: str, status: int) -> None:
    error = await refused(kind, http(status, "<html>", "Content-Type: text/html"), max_retries=0)
    assert "is the base URL that of a gatewayd" in str(error)


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
        lambda client: client.request("GET", "/", headers={"Content-Length": "7"}),
        lambda client: client.request("POST", "/", json={}, content=b""),
        lambda client: client.request("POST", "/", json={1, 2}),
        lambda client: client.request("POST", "/", json=float("nan")),
        lambda client: client.support.get_ticket(".."),
        lambda client: client.scraper.scrape("http://a", selectors="h1"),
        lambda client: client.rag.upload_document("/no/such/file"),
    ],
    ids=[
        "path", "method", "value", "name", "framing", "two bodies", "no JSON", "no number", "dots", "a word", "no file",
    ],
)  # fmt: skip
async def test_what_cannot_be_sent_is_refused_here(kind: str, ask: Any) -> None:
    with pytest.raises(sdk.ConfigurationError):
        await using(kind, "http://127.0.0.1:9", ask)


async def test_a_token_that_cannot_be_sent_is_not_quoted(kind: str) -> None:
    with pytest.raises(sdk.ConfigurationError) as caught:
        await using(kind, "http://127.0.0.1:9", current, token="s3cret\n")
    assert "s3cret" not in str(caught.value)
