"""What a request is judged by: whose plan wins."""

import dataclasses

import pytest

from tests.clocks import ManualClock
from tests.policies.rings import EMAIL, Ring

PLANS = "[plans.free]\ndefault = true\n[plans.pro]\n"


@pytest.mark.parametrize(
    ("account", "claimed", "plan"),
    [
        pytest.param(None, None, "free", id="default"),
        pytest.param(None, "pro", "pro", id="claimed"),
        pytest.param("free", "pro", "free", id="account"),
        pytest.param(None, "gone", None, id="claimed, unknown"),
        pytest.param("gone", "pro", None, id="account, unknown"),
        pytest.param(None, "", "free", id="an empty claim is none"),
    ],
)
def test_the_account_wins_over_the_claim_and_the_claim_over_the_default(
    clock: ManualClock, account: str | None, claimed: str | None, plan: str | None
) -> None:
    ring = Ring(PLANS + EMAIL, clock, accounts={"ann": account} if account is not None else {})
    found = ring.generation.plan_for("ann", claimed)
    assert (found.name if found is not None else None) == plan


def test_without_a_default_there_is_no_plan(clock: ManualClock) -> None:
    ring = Ring("[plans.pro]\n" + EMAIL, clock)
    assert ring.generation.plan_for("ann", None) is None


def test_what_every_request_asks_of_the_settings_is_at_hand(clock: ManualClock) -> None:
    said = 'trusted_proxies = ["127.0.0.0/8"]\nmax_header_bytes = "9KiB"\nmax_in_flight = 7\n'
    generation = Ring(f'[server]\n{said}[tracing]\nserver_timing = ["operator"]\n' + EMAIL, clock).generation
    server = generation.settings.server
    assert (generation.trusted_proxies, len(generation.trusted_proxies)) == (server.trusted_proxies, 1)
    assert (generation.max_header_bytes, generation.max_in_flight) == (9 << 10, 7)
    assert generation.server_timing == ("operator",)


def test_a_generation_is_frozen(clock: ManualClock) -> None:
    generation = Ring(EMAIL, clock).generation
    with pytest.raises(dataclasses.FrozenInstanceError):
        generation.number = 2  # type: ignore[misc]
