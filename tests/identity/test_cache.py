"""Verified tokens are remembered, but no more than so many and never past their end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.identity.cache import VerifiedTokens
from gatewayd.model import Identity


def identity(user: str = "alice", expires_at: float = 100.0) -> Identity:
    return Identity(user, None, frozenset(), None, None, expires_at)


def test_an_identity_is_found_until_the_moment_it_ends() -> None:
    cache = VerifiedTokens(10)
    alice = identity()
    cache.keep("a", alice, 0.0)
    assert cache.find("a", 99.999) is alice
    assert cache.find("a", 100.0) is None
    assert len(cache) == 0


def test_an_identity_that_has_ended_is_not_kept() -> None:
    cache = VerifiedTokens(10)
    cache.keep("a", identity(), 100.0)
    assert len(cache) == 0


def test_the_least_recently_used_goes_first() -> None:
    cache = VerifiedTokens(2)
    for token in "ab":
        cache.keep(token, identity(token), 0.0)
    assert cache.find("a", 0.0) is not None
    cache.keep("c", identity("c"), 0.0)
    assert [token for token in "abc" if cache.find(token, 0.0)] == ["a", "c"]


def test_keeping_a_token_again_takes_no_second_place() -> None:
    cache = VerifiedTokens(2)
    for token in "aab":
        cache.keep(token, identity(token), 0.0)
    assert len(cache) == 2
    assert cache.find("a", 0.0) is not None


def test_who_calls_all_the_time_is_kept_however_many_come_once() -> None:
    cache = VerifiedTokens(40)
    cache.keep("busy", identity("busy"), 0.0)
    for number in range(1_000):
        cache.keep(f"once {number}", identity(), 0.0)
        assert number % 30 or cache.find("busy", 0.0) is not None
    assert len(cache) == 40


def test_no_token_is_kept_in_memory_and_digests_differ_between_caches() -> None:
    one, other = VerifiedTokens(2), VerifiedTokens(2)
    for cache in (one, other):
        cache.keep("a token", identity(), 0.0)
    assert one._identities.keys() != other._identities.keys()
    assert [len(key) for key in one._identities] == [16]


def test_a_cache_has_room_for_one_at_least() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        VerifiedTokens(0)


@given(
    capacity=st.integers(1, 5),
    uses=st.lists(st.tuples(st.text(max_size=2), st.floats(0, 200)), max_size=50),
)
def test_any_use_keeps_the_bound_and_tells_nobody_apart_wrongly(capacity: int, uses: list[tuple[str, float]]) -> None:
    cache = VerifiedTokens(capacity)
    for token, now in uses:
        cache.keep(token, identity(token), now)
        found = cache.find(token, now)
        assert (found is not None) == (now < 100.0)
        assert found is None or found.user == token
        assert len(cache) <= capacity
