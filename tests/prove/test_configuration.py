import pytest

from gatewayd.config.loading import parse
from gatewayd.prove.configuration import COUNTERS, LEDGER, PRICES, SECRET, UNIT, Bought, Price, configuration

ENVIRON = {SECRET: "s" * 64, LEDGER: "sqlite:ledger.db", COUNTERS: "memory:"}
PLANS = [Bought(), Bought(quota=17), Bought(rate="20/minute burst 3"), Bought(quota=17)]


def test_a_daemon_can_be_started_with_it_and_is_warned_of_nothing() -> None:
    loaded = parse(configuration("state", "http://127.0.0.1:9", 4, PLANS), "prove.toml", ENVIRON)
    assert loaded.warnings == ()
    settings = loaded.settings
    assert settings.server.workers == 4
    assert settings.plans[Bought(quota=17).name].quota == {UNIT: 17}
    [rate] = settings.plans[Bought(rate="20/minute burst 3").name].rate_limit or ()
    assert (rate.limit, rate.burst) == (20, 3)
    assert settings.rate_limit.limits == ()


def test_every_price_has_a_route_that_charges_it() -> None:
    settings = parse(configuration("state", "http://127.0.0.1:9", 1, PLANS), "prove.toml", ENVIRON).settings
    for price in PRICES:
        usage = settings.routes[price.name].usage
        assert (usage.cost, usage.max) == (price.cost, price.maximum or None)


@pytest.mark.parametrize("price", PRICES, ids=lambda price: price.name)
def test_a_target_says_what_its_call_costs(price: Price) -> None:
    assert Price.of(price.target(quantity=3, after="0.1")) == price
    assert price.held >= price.cost


def test_a_target_tells_the_agent_what_to_do() -> None:
    assert Price(3, 5).target(quantity=2, end="short") == "/cost-3-of-5/call?quantity=2&end=short"
    assert Price(3).target() == "/cost-3/call"
