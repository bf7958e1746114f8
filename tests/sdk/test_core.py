"""What the client knows without a socket: events, limits, configuration, repeats."""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import gatewayd_sdk as sdk
import pytest
from gatewayd_sdk._core.answers import Answer, status_error
from gatewayd_sdk._core.exchange import AskToken, Chance, Fetch, Manner, exchange
from gatewayd_sdk._core.headers import Headers
from gatewayd_sdk._core.limits import rate_limit_in, retry_after_in
from gatewayd_sdk._core.options import Options, Timeout, base_url, check_token
from gatewayd_sdk._core.records import Mismatch, Record
from gatewayd_sdk._core.requests import Request
from gatewayd_sdk._core.retries import pause_before_repeat
from hypothesis import given
from hypothesis import strategies as st

LINES = st.sampled_from(
    ["data: a", "data:b", "data", "event: token", "id: 7", "id: \0", "retry: 10", "retry: x", ": note", "", "", "ü: 1"]
)
ENDS = st.sampled_from(["\n", "\r", "\r\n"])


def decoded(pieces: list[bytes]) -> list[sdk.Event]:
    decoder = sdk.EventDecoder()
    return [event for piece in pieces for event in decoder.feed(piece)]


@given(
    lines=st.lists(st.tuples(LINES, ENDS), max_size=20),
    mark=st.booleans(),
    cuts=st.lists(st.integers(0, 300), max_size=12),
)
def test_events_are_the_same_wherever_the_bytes_are_cut(
    lines: list[tuple[str, str]], mark: bool, cuts: list[int]
) -> None:
    raw = ("\ufeff" * mark + "".join(line + end for line, end in lines)).encode()
    places = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    assert decoded([raw[a:b] for a, b in pairwise(places)]) == decoded([raw])
    assert decoded([bytes([each]) for each in raw]) == decoded([raw])


def test_events_are_read_as_the_standard_says() -> None:
    raw = "\ufeffevent: token\ndata: {\ndata: }\nid: 1\nretry: 5\n\n: note\n\ndata:ü\r\r\ndata: cut".encode()
    assert decoded([raw]) == [sdk.Event("token", "{\n}", "1", 5), sdk.Event("message", "ü", "1")]
    assert sdk.Event("a", "[1]").json() == [1]
    with pytest.raises(sdk.APIResponseError, match="not JSON"):
        sdk.Event("a", "{").json()


def test_an_event_without_end_is_given_up() -> None:
    with pytest.raises(sdk.APIResponseError, match="longer than 10"):
        list(sdk.EventDecoder(most=10).feed(b"data: 0123456789"))
    assert len(list(sdk.EventDecoder(most=10).feed(b"data: 1\n\n" * 9))) == 9


@pytest.mark.parametrize(
    ("text", "remaining"),
    [('"a";r=3;t=1, "b";r=1;t=9', 1), ('"a";r=0', 0), ("", None), ('"a"', None), ("nonsense", None), ('"a";r=x', None)],
)
def test_limits_are_read_or_left_out(text: str, remaining: int | None) -> None:
    found = rate_limit_in({"ratelimit": text, "ratelimit-policy": '"a";q=3;w=60'})
    assert (found.remaining if found else None) == remaining


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "soon"}, None),
        ({}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "Tue, 15 Nov 1994 08:12:41 GMT", "date": "Tue, 15 Nov 1994 08:12:31 GMT"}, 10.0),
        ({"retry-after": "Tue, 15 Nov 1994 08:12:41 GMT"}, 0.0),
    ],
    ids=["seconds", "words", "none", "negative", "date by the answer's clock", "past"],
)
def test_retry_after_is_seconds_from_the_answer(fields: dict[str, str], seconds: float | None) -> None:
    assert retry_after_in(fields, 2e9) == seconds


def test_an_exhausted_quota_says_what_and_until_when() -> None:
    body = b'{"code":"quota_exhausted","unit":"tokens","limit":9,"used":9,"resets_at":"2026-12-01T00:00:00Z"}'
    error = status_error(Answer(402, Headers(), body), 0.0)
    assert isinstance(error, sdk.QuotaExceededError)
    assert (error.unit, error.limit, error.used) == ("tokens", 9, 9)
    assert error.resets_at is not None
    assert error.resets_at.isoformat() == "2026-12-01T00:00:00+00:00"
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.body) == (type(error), str(error), error.body)


@given(repeats=st.integers(0, 9), luck=st.floats(0, 1))
def test_a_pause_is_never_longer_than_eight_seconds(repeats: int, luck: float) -> None:
    pause = pause_before_repeat(sdk.APIConnectionError("x"), repeats, Options(max_retries=10), luck)
    assert pause is not None
    assert 0.3 < pause <= 8


@pytest.mark.parametrize(
    "text",
    ["", "gateway:8080", "ftp://a", "http://", "http://a b", "http://u:p@a", "http://a?q", "http://a:x", "http://[a"],
)
def test_a_base_url_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(sdk.ConfigurationError, match="base URL"):
        base_url(text, {})


def test_what_is_not_given_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAYD_BASE_URL", "http://127.0.0.1:8080/")
    assert sdk.Gateway().base_url == sdk.AsyncGateway().base_url == "http://127.0.0.1:8080"
    assert sdk.Gateway("http://other").base_url == "http://other"


@pytest.mark.parametrize("make", [lambda: sdk.Timeout(idle=0), lambda: Options(max_retries=-1)])
def test_a_setting_without_sense_is_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(sdk.ConfigurationError):
        make()


def test_header_fields_are_found_in_any_case_and_repeats_are_joined() -> None:
    fields = Headers([("X-A", "1"), ("x-a", "2")])
    assert (fields["X-a"], len(fields), repr(fields)) == ("1, 2", 1, "Headers({'x-a': '1, 2'})")
    assert pickle.loads(pickle.dumps(fields)) == fields
    assert Headers({"X-B": "3"})["x-b"] == "3"


def test_the_tightest_window_is_the_one_to_mind() -> None:
    found = rate_limit_in({"ratelimit": '"a";r=3;t=1, "b";r=1;t=9'})
    assert found is not None
    assert (found.tightest.name, found.resets_in, found.tightest.limit) == ("b", 9, None)


def test_a_time_that_is_none_is_left_out() -> None:
    assert sdk.QuotaExceededError("x", status=402, body={"resets_at": "soon"}).resets_at is None
    assert sdk.QuotaExceededError("x", status=402, body="text").unit is None


def test_an_error_without_a_document_is_told_by_its_status() -> None:
    assert str(status_error(Answer(418, Headers(), b"[1]"), 0.0)) == "418"
    assert str(status_error(Answer(418, Headers(), b"{}"), 0.0)) == "418"


def test_a_token_is_a_text() -> None:
    with pytest.raises(sdk.ConfigurationError, match="not int"):
        check_token(7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner(Record):
    yes: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer(Record):
    many: Mapping[str, Inner]
    number: float = 1.5
    list: tuple[int, ...] = ()
    at: datetime | None = None


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ([], "an object is needed, not list"),
        ({"many": []}, "many: an object is needed"),
        ({"many": {"a": 1}}, "many: an object is needed, not int"),
        ({"many": {"a": {"yes": 1}}}, "many: yes: bool is needed, not int"),
        ({"many": {}, "number": True}, "number: float is needed, not bool"),
        ({"many": {}, "list": {}}, "list: a list is needed"),
        ({"many": {}, "at": "soon"}, "at: an RFC 3339 time is needed"),
        ({}, "many is missing"),
    ],
)
def test_a_record_says_which_member_is_at_fault(document: object, told: str) -> None:
    with pytest.raises(Mismatch, match=told):
        Outer.read(document)


def test_a_record_keeps_what_it_does_not_know() -> None:
    record = Outer.read({"many": {"a": {"new": 1}}, "number": 2, "at": "2026-12-01T00:00:00Z"})
    assert (record.many["a"].extra, record.number, record.list) == ({"new": 1}, 2, ())
    assert record.at is not None


def test_a_call_whose_time_is_up_is_not_begun_again() -> None:
    times = iter([0.0])
    chance = Chance(monotonic=lambda: next(times, 1.0))
    steps = exchange(Request("GET", "/"), Manner(Options(Timeout(total=1.0)), asks=True, chance=chance))
    assert next(steps) == AskToken(None)
    steps.send("t0ken")
    refused = Answer(401, Headers(), b'{"code": "token_expired"}')
    assert steps.send(refused) == AskToken("t0ken")
    with pytest.raises(sdk.APITimeoutError, match="total"):
        steps.send("another")


def test_a_call_without_a_total_has_no_deadline() -> None:
    fetch = next(exchange(Request("GET", "/"), Manner(Options(Timeout(total=None)), token="t0ken")))
    assert isinstance(fetch, Fetch)
    assert fetch.remaining is None
