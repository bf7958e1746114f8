"""A key serves from when it is published until shortly after it is not."""

from gatewayd.identity.jwk import KeySet
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
