"""What two configurations do not have in common, said as their files would."""

from dataclasses import fields
from typing import Any

import pytest

from gatewayd.config.difference import NEEDS_RESTART, difference
from gatewayd.config.loading import parse
from gatewayd.config.settings import Settings

TEXT = """
[auth]
secret = {{ env = "SECRET" }}
[plans.free]
default = true
{plan}
[routes.a]
prefix = "/a"
upstream = "http://127.0.0.1:9"
{route}
{more}
"""


def settings(route: str = "", plan: str = "", more: str = "", secret: str = "s" * 40) -> Settings:
    return parse(TEXT.format(route=route, plan=plan, more=more), "test.toml", {"SECRET": secret}).settings


def said(before: Settings, after: Settings) -> dict[str, Any]:
    return difference(before, after).document()


def test_the_same_twice_is_no_difference() -> None:
    found = difference(settings(), settings())
    assert found.is_empty
    assert found.document()["general"] == []


@pytest.mark.parametrize(
    ("route", "line"),
    [
        pytest.param('rate_limit = ["5/minute"]', 'routes.a.rate_limit: nothing -> ["5/minute"]', id="rate"),
        pytest.param(
            'rate_limit = ["5/hour burst 9"]', 'routes.a.rate_limit: nothing -> ["5/hour burst 9"]', id="burst"
        ),
        pytest.param('timeouts = { idle = "5s" }', "routes.a.timeouts.idle: 60 -> 5", id="nested"),
        pytest.param("public = true", "routes.a.public: false -> true", id="boolean"),
        pytest.param('max_body = "1KiB"', "routes.a.max_body: nothing -> 1024", id="size"),
        pytest.param('roles = ["b"]', 'routes.a.roles: nothing -> ["b"]', id="list"),
    ],
)
def test_a_key_of_a_route_is_told_with_both_values(route: str, line: str) -> None:
    assert said(settings(), settings(route))["routes"] == {"added": [], "changed": {"a": [line]}, "removed": []}


def test_routes_and_plans_that_come_and_go_are_told_by_name() -> None:
    more = '[routes.b]\nprefix = "/b"\nupstream = "http://127.0.0.1:9"\n[plans.pro]\nquota = { api_calls = 5 }\n'
    came, went = said(settings(), settings(more=more)), said(settings(more=more), settings())
    assert (came["routes"]["added"], came["plans"]["added"]) == (["b"], ["pro"])
    assert (went["routes"]["removed"], went["plans"]["removed"]) == (["b"], ["pro"])
    changed = said(settings(), settings(plan="quota = { api_calls = 5 }"))["plans"]["changed"]
    assert changed == {"free": ["plans.free.quota: nothing -> {api_calls = 5}"]}


def test_a_secret_is_named_and_never_shown() -> None:
    found = said(settings(), settings(secret="t" * 40))
    assert found["general"] == ["auth.secret: (secret) -> (secret)"]
    assert "tttt" not in str(found)


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ('[server]\nstate_dir = "other"\n', "server.state_dir"),
        ('[ledger]\nurl = "sqlite:other.db"\n', "ledger.url"),
        ('[ledger]\ndurability = "disk"\n', "ledger.durability"),
        ('[server]\nlisten = ["unix:/a"]\nworkers = 4\n', None),
        ('[ledger]\non_outage = "deny"\n[counters]\nurl = "redis://a/0"\n', None),
    ],
)
def test_what_needs_a_restart_is_named(more: str, key: str | None) -> None:
    found = difference(settings(), settings(more=more))
    assert not found.is_empty
    assert found.needs_restart == ((key,) if key is not None else ())
    assert found.document()["needs_restart"] == list(found.needs_restart)


def test_every_key_that_needs_a_restart_is_one_that_exists() -> None:
    whole = settings()
    for key in NEEDS_RESTART:
        table, _, name = key.partition(".")
        assert name in {each.name for each in fields(getattr(whole, table))}


def test_tables_that_come_as_a_whole_are_told_as_one() -> None:
    from_nothing = said(settings(), settings(more='[server]\nlisten = ["127.0.0.1:1", "unix:/b"]\n'))
    assert from_nothing["general"] == ['server.listen: ["127.0.0.1:8080"] -> ["127.0.0.1:1", "unix:/b"]']
