"""A key serves from when it is published until shortly after it is not."""

from gatewayd.identity.jwk import MAX_TRIED, KeySet
from gatewayd.identity.ring import GRACE, KeyRing
from gatewayd.identity.signatures import VerificationKey
from tests.identity.forging import SECRET

KEY = VerificationKey.of_secret("HS256", SECRET.encode())


def keys(*ids: str) -> KeySet:
    return KeySet({("HS256", key_id): (KEY,) for key_id in ids}, len(ids))


def test_a_key_in_force_is_found_by_its_id_and_algorithm() -> None:
    ring = KeyRing()
    ring.adopt(keys("a"), 0)
    assert ring.find("HS256", "a", 1) == (KEY,)
    assert ring.find("HS384", "a", 1) == ring.find("HS256", "b", 1) == ring.find("HS256", None, 1) == ()
    assert ring.size == 1


def test_a_withdrawn_key_serves_on_for_the_grace_and_no_longer() -> None:
    ring = KeyRing()
    ring.adopt(keys("a"), 0)
    ring.adopt(keys("b"), 10)
    assert ring.find("HS256", "a", 10 + GRACE - 0.1) == ring.find("HS256", "b", 10) == (KEY,)
    assert ring.find("HS256", "a", 10 + GRACE) == ()
    assert ring.find("HS256", "b", 1e6) == (KEY,)


def test_a_key_that_comes_back_stays() -> None:
    ring = KeyRing()
    for now, name in enumerate(("a", "b", "a")):
        ring.adopt(keys(name), now)
    assert ring.find("HS256", "a", 1e6) == (KEY,)


def test_what_names_no_key_is_tried_with_those_just_withdrawn_too_few_in_all() -> None:
    ring = KeyRing()
    made = [VerificationKey.of_secret("HS256", f"{number}".encode() * 32) for number in range(8)]
    for now, key in enumerate(made):
        ring.adopt(KeySet({("HS256", None): (key,)}, 1), now)
    assert ring.find("HS256", None, 8) == tuple(made[: -MAX_TRIED - 1 : -1])
    assert ring.find("HS256", None, 8 + GRACE) == tuple(made[-1:])


def test_what_was_not_found_before_is_told_when_it_is_there() -> None:
    ring = KeyRing()
    other = VerificationKey.of_secret("HS256", b"o" * 32)
    assert set(ring.adopt(keys("a", "b"), 0)) == {("HS256", "a"), ("HS256", "b")}
    assert set(ring.adopt(keys("a", "c"), 1)) == {("HS256", "c")}
    assert not ring.adopt(keys("a", "c"), 2)
    assert set(ring.adopt(KeySet({("HS256", "a"): (other,)}, 1), 3)) == {("HS256", "a")}


def test_withdrawn_keys_are_bounded() -> None:
    ring = KeyRing()
    for number in range(1000):
        ring.adopt(keys(str(number)), number / 1000)
    assert len(ring._leaving) < 100


def test_dropped_keys_are_gone_at_once() -> None:
    ring = KeyRing()
    ring.adopt(keys("a"), 0)
    ring.adopt(keys("b"), 0)
    ring.drop()
    assert ring.find("HS256", "a", 0) == ring.find("HS256", "b", 0) == ()
    assert ring.size == 0
