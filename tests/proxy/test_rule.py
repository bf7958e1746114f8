"""A route's settings as the proxy needs them; what it refuses is tried end to end beside what it lets through."""

from pathlib import Path

import pytest

from gatewayd.config.loading import parse
from gatewayd.proxy.balance import Balance
from gatewayd.proxy.rule import Forwarding, forwarding
from tests.agents import answering, raw_agent
from tests.gateways import running_gateway
from tests.proxy.wire import OK, call

CONFIG = """
[server]
max_body = "5MiB"
body_timeout = "7s"
[auth]
secret = {{ env = "SECRET" }}
[plans.free]
default = true
[routes.one]
prefix = "{prefix}"
upstream = ["http://127.0.0.1:1/a", "http://127.0.0.1:2/b"]
{more}
"""


def settled(prefix: str = "/api/one", more: str = "") -> Forwarding:
    settings = parse(CONFIG.format(prefix=prefix, more=more), "test.toml", {"SECRET": "x" * 32}).settings
    return forwarding(settings, settings.routes["one"], Balance([]))


def test_a_rule_takes_what_the_route_says_and_else_what_the_server_says() -> None:
    rule = settled()
    assert (rule.prefix, rule.max_body, rule.silence) == ("/api/one", 5 << 20, 7.0)
    assert (rule.connect, rule.first_byte, rule.idle, rule.total) == (2, 30, 60, 0)
    assert rule.round is rule.balance.round
    assert rule.upgrades == ("websocket",)
    rule = settled(more='max_body = "1KiB"\nforward_authorization = true')
    assert (rule.max_body, rule.authorization) == (1024, True)


def test_a_route_for_everything_has_an_empty_prefix() -> None:
    rule = settled(prefix="/")
    assert rule.prefix == ""


@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("POST", 405), ("TRACE", 405)])
async def test_a_method_that_the_route_does_not_take_is_refused_with_those_that_it_does(
    method: str, status: int, tmp_path: Path
) -> None:
    async with raw_agent(answering(OK)) as agent:
        route = f'[routes.email]\nprefix = "/api/email"\nupstream = "{agent.url}"\nmethods = ["GET", "HEAD"]\n'
        async with running_gateway(tmp_path, routes=route) as gateway:
            heard = await call(gateway, method)
    assert heard.status == status
    assert heard.all("allow") == ([] if status == 200 else ["GET, HEAD"])
    assert len(agent.received) == (1 if status == 200 else 0)
