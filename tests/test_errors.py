"""The tree of refusals is the table of contract section 4."""

from collections.abc import Iterator

import pytest

from gatewayd import errors
from gatewayd.errors import ConfigError, Problem, Refusal

TABLE = [
    ("bad_request", 400, True),
    ("token_missing", 401, False),
    ("token_invalid", 401, False),
    ("token_expired", 401, False),
    ("quota_exhausted", 402, False),
    ("role_denied", 403, False),
    ("scope_denied", 403, False),
    ("route_unknown", 404, False),
    ("method_not_allowed", 405, False),
    ("request_timeout", 408, True),
    ("body_too_large", 413, True),
    ("uri_too_long", 414, True),
    ("rate_limited", 429, False),
    ("headers_too_large", 431, True),
    ("client_closed", 499, True),
    ("internal_error", 500, False),
    ("upstream_connect", 502, False),
    ("upstream_reset", 502, False),
    ("upstream_protocol", 502, False),
    ("draining", 503, True),
    ("overloaded", 503, True),
    ("overloaded", 503, False),  # too much in flight, where the connection itself is welcome
    ("issuer_unavailable", 503, False),
    ("store_unavailable", 503, False),
    ("upstream_timeout", 504, False),
    ("version_unsupported", 505, True),
]


def tree(root: type[Refusal]) -> Iterator[type[Refusal]]:
    for kind in root.__subclasses__():
        yield kind
        yield from tree(kind)


def test_every_code_of_the_contract_has_its_status_and_nothing_else_has_a_code() -> None:
    kinds = [(kind.code, kind.status, kind.closes) for kind in tree(Refusal) if not kind.__subclasses__()]
    assert sorted(kinds) == sorted(TABLE)


@pytest.mark.parametrize(
    ("refusal", "headers"),
    [
        pytest.param(errors.TokenMissing(), [("WWW-Authenticate", 'Bearer realm="gatewayd"')], id="401, no token"),
        pytest.param(
            errors.TokenExpired(),
            [("WWW-Authenticate", 'Bearer realm="gatewayd", error="invalid_token"')],
            id="401, a token",
        ),
        pytest.param(errors.MethodNotAllowed(("GET", "HEAD")), [("Allow", "GET, HEAD")], id="405"),
        pytest.param(errors.RateLimited(retry_after=7), [("Retry-After", "7")], id="429"),
        pytest.param(errors.Draining(), [("Retry-After", "1")], id="503"),
        pytest.param(errors.IssuerUnavailable(retry_after=9), [("Retry-After", "9")], id="503, when is known"),
        pytest.param(
            errors.QuotaExhausted(unit="u", limit=1, used=1, plan="p", resets_at=""),
            [("x-should-retry", "false")],
            id="402",
        ),
        pytest.param(errors.RouteUnknown(), [], id="404"),
    ],
)
def test_a_refusal_carries_its_headers(refusal: Refusal, headers: list[tuple[str, str]]) -> None:
    assert list(refusal.headers) == headers


def test_a_refusal_has_words_even_if_nobody_gave_it_any() -> None:
    assert (str(errors.RouteUnknown()), errors.RouteUnknown().detail) == ("No such route", "No such route.")
    assert errors.RouteUnknown("Gone.").detail == "Gone."


def test_a_problem_says_where_what_and_how_to_mend_it() -> None:
    problem = Problem("a.toml", 3, 7, "server.workers", "must be at least 1", "use 1")
    assert str(problem) == "a.toml:3:7: server.workers: must be at least 1 (use 1)"
    assert str(Problem("a.toml", 0, 0, "auth", "is missing")) == "a.toml:0:0: auth: is missing"
    assert str(ConfigError([problem, problem])).count("\n") == 1
