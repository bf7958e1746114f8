"""A token names somebody only if everything about it is right, and every refusal keeps it to itself."""

import json
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import HMACAlgorithm

from gatewayd.config.settings import Secret
from gatewayd.errors import StartError, TokenExpired, TokenInvalid, Unauthenticated
from gatewayd.identity.base import MAX_TOKEN
from gatewayd.identity.jwk import read_keys
from gatewayd.identity.signatures import VerificationKey
from gatewayd.identity.tokens import TokenVerifier
from gatewayd.model import Identity
from tests.clocks import ManualClock
from tests.identity.forging import (
    CLAIMS,
    NOW,
    PUBLIC_KEY_ALGORITHMS,
    SECRET,
    auth_settings,
    b64,
    forge,
    public_key_settings,
    public_pem,
    sign,
    sign_with_key,
    with_header,
    words_of,
)
from tests.identity.hostile import HOSTILE
from tests.identity.hostile_keys import ALGORITHMS, HOSTILE_KEYS, good, published

Forge = Callable[[], str]


@pytest.fixture
def verifier(clock: ManualClock) -> TokenVerifier:
    return TokenVerifier(auth_settings(), clock)


def assert_silent(error: BaseException, token: str) -> None:
    """Neither the token nor one of its parts is in anything that the error could print."""
    words = words_of(error)
    for part in (token, *token.split(".")):
        assert len(part) < 8 or part not in words
    assert not {"alice", "root", SECRET} & set(words.split())


@pytest.mark.parametrize("make", HOSTILE)
async def test_a_hostile_token_is_refused_in_silence(verifier: TokenVerifier, make: Forge) -> None:
    token = make()
    with pytest.raises((TokenInvalid, TokenExpired)) as caught:
        await verifier.verify(token)
    assert_silent(caught.value, token)
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert verifier.known(token.encode("utf-8", "surrogatepass"), NOW) is None
    assert len(verifier._verified) == 0 == len(verifier._headers)


def test_a_token_whose_key_is_at_hand_is_verified_without_a_coroutine(verifier: TokenVerifier) -> None:
    identity = verifier.known(forge().encode(), NOW)
    assert identity is not None
    assert identity.user == "alice"
    assert verifier.known(forge().encode(), NOW) is identity


def test_a_token_whose_key_is_not_at_hand_is_left_to_who_can_wait(clock: ManualClock) -> None:
    verifier = TokenVerifier(auth_settings(algorithms=ALGORITHMS, secret=None), clock, keys=Published())
    assert verifier.known(good("ES256").encode(), NOW) is None


def test_a_header_that_was_judged_before_lets_nobody_in_whose_token_is_signed_by_another(
    verifier: TokenVerifier,
) -> None:
    assert verifier.known(forge().encode(), NOW)
    assert verifier.known(forge(secret="guessed").encode(), NOW) is None


async def test_a_badly_signed_token_is_tried_once_by_each_key(
    verifier: TokenVerifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a flood of them would cost twice: by who does not wait, and again by who may."""
    tried = 0
    verify = HMACAlgorithm.verify

    def counted(self: HMACAlgorithm, msg: bytes, key: bytes, sig: bytes) -> bool:
        nonlocal tried
        tried += 1
        return verify(self, msg, key, sig)

    monkeypatch.setattr(HMACAlgorithm, "verify", counted)
    for token in (forge(secret="guessed"), forge(secret="guessed again")):
        assert verifier.known(token.encode(), NOW) is None
        with pytest.raises(TokenInvalid):
            await verifier.verify(token)
    assert tried == 2
    assert verifier.known(forge().encode(), NOW)


async def test_no_more_headers_are_remembered_than_there_is_room_for(clock: ManualClock) -> None:
    verifier = TokenVerifier(auth_settings(), clock, capacity=1)
    for number in range(500):
        await verifier.verify(with_header(kid=str(number)))
    assert 0 < len(verifier._headers) < 100


class Published:
    """What a provider publishes, without the provider."""

    def __init__(self) -> None:
        self.keys = read_keys(published(), lambda _: None)

    def at_hand(self, algorithm: str, key_id: str | None) -> Sequence[VerificationKey]:
        return ()

    async def find(
        self, algorithm: str, key_id: str | None, tried: Sequence[VerificationKey] = ()
    ) -> Sequence[VerificationKey]:
        return self.keys.find(algorithm, key_id)


@pytest.mark.parametrize("make", HOSTILE_KEYS)
async def test_a_hostile_token_finds_no_published_key(clock: ManualClock, make: Forge) -> None:
    settings = auth_settings(algorithms=ALGORITHMS, secret=None)
    verifier = TokenVerifier(settings, clock, keys=Published())
    token = make()
    with pytest.raises(TokenInvalid) as caught:
        await verifier.verify(token)
    assert_silent(caught.value, token)
    assert caught.value.__cause__ is caught.value.__context__ is None


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_what_the_issuer_signs_is_taken_with_its_published_key(clock: ManualClock, algorithm: str) -> None:
    verifier = TokenVerifier(auth_settings(algorithms=ALGORITHMS, secret=None), clock, keys=Published())
    assert (await verifier.verify(good(algorithm))).user == "alice"
    assert (await verifier.verify(good(algorithm, kid=None))).user == "alice"


def test_the_table_of_hostile_tokens_stays_long_and_its_names_unique() -> None:
    for table, least in ((HOSTILE, 150), (HOSTILE_KEYS, 80)):
        names = [case.id for case in table]
        assert len(names) == len(set(names)) > least


def test_only_one_hostile_token_is_refused_for_its_length() -> None:
    assert [case.id for case in HOSTILE if len(case.values[0]()) > MAX_TOKEN] == ["longer than allowed"]  # type: ignore[operator]


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_a_good_token_of_every_hmac_algorithm_is_taken(clock: ManualClock, algorithm: str) -> None:
    verifier = TokenVerifier(auth_settings(algorithms=(algorithm,)), clock)
    token = sign(b64(json.dumps({"alg": algorithm})), b64(json.dumps(CLAIMS)), algorithm=algorithm)
    assert (await verifier.verify(token)).user == "alice"


@pytest.mark.parametrize("algorithm", PUBLIC_KEY_ALGORITHMS)
async def test_a_good_token_of_every_public_key_algorithm_is_taken(clock: ManualClock, algorithm: str) -> None:
    verifier = TokenVerifier(public_key_settings(algorithm), clock)
    token = sign_with_key(algorithm)
    assert (await verifier.verify(token)).user == "alice"
    head, payload, signature = token.split(".")
    for forged in (signature[:-4], f"{signature}AAAA", b64(bytes(64)), f"{signature[4:]}{signature[:4]}"):
        with pytest.raises(TokenInvalid) as caught:
            await verifier.verify(f"{head}.{payload}.{forged}")
        assert_silent(caught.value, token)


async def test_each_algorithm_has_its_own_key_when_both_kinds_are_configured(clock: ManualClock) -> None:
    pem = public_pem("RSA")
    both = auth_settings(algorithms=("HS256", "RS256"), public_key=Secret(pem, "a test"))
    verifier = TokenVerifier(both, clock)
    assert (await verifier.verify(forge())).user == "alice"
    assert (await verifier.verify(sign_with_key("RS256"))).user == "alice"
    with pytest.raises(TokenInvalid):
        await verifier.verify(forge(secret=pem))


async def test_hmac_with_the_public_key_does_not_pass_for_its_algorithm(clock: ManualClock) -> None:
    verifier = TokenVerifier(public_key_settings("RS256"), clock)
    for alg in ("HS256", "RS256"):
        with pytest.raises(TokenInvalid):
            await verifier.verify(forge(header=json.dumps({"alg": alg}), secret=public_pem("RSA")))


async def test_a_key_of_another_owner_does_not_verify(clock: ManualClock) -> None:
    verifier = TokenVerifier(public_key_settings("EdDSA"), clock)
    with pytest.raises(TokenInvalid):
        await verifier.verify(sign_with_key("EdDSA", kind="Ed448"))


def test_a_key_that_cannot_serve_stops_the_start(clock: ManualClock) -> None:
    with pytest.raises(StartError, match=r"auth\.secret: HS256 needs a secret of at least 32 bytes"):
        TokenVerifier(auth_settings(secret=Secret("short", "a test")), clock)


async def test_keys_may_come_from_elsewhere_by_their_id(clock: ManualClock) -> None:
    class OneKey:
        def at_hand(self, algorithm: str, key_id: str | None) -> Sequence[VerificationKey]:
            return ()

        async def find(
            self, algorithm: str, key_id: str | None, tried: Sequence[VerificationKey] = ()
        ) -> Sequence[VerificationKey]:
            return [VerificationKey.of_secret(algorithm, SECRET.encode())] if key_id == "k1" else []

    verifier = TokenVerifier(auth_settings(secret=None), clock, keys=OneKey())
    assert (await verifier.verify(forge(header='{"alg":"HS256","kid":"k1"}'))).user == "alice"
    for header in ('{"alg":"HS256","kid":"k2"}', '{"alg":"HS256"}'):
        with pytest.raises(TokenInvalid):
            await verifier.verify(forge(header=header))


async def test_a_token_that_names_no_key_is_tried_once_more_with_those_that_are_newer(clock: ManualClock) -> None:
    old, new = (VerificationKey.of_secret("HS256", each.encode() * 32) for each in "on")
    asked: list[tuple[str | None, Sequence[VerificationKey]]] = []

    class Rotated:
        def at_hand(self, algorithm: str, key_id: str | None) -> Sequence[VerificationKey]:
            return ()

        async def find(
            self, algorithm: str, key_id: str | None, tried: Sequence[VerificationKey] = ()
        ) -> Sequence[VerificationKey]:
            asked.append((key_id, tried))
            return [new] if tried else [old]

    verifier = TokenVerifier(auth_settings(secret=None), clock, keys=Rotated())
    assert (await verifier.verify(forge(secret="n" * 32))).user == "alice"
    assert (await verifier.verify(forge(secret="o" * 32))).user == "alice"
    assert asked == [(None, ()), (None, [old]), (None, ())]
    for header, secret in (('{"alg":"HS256","kid":"k"}', "n"), ('{"alg":"HS256"}', "x")):
        with pytest.raises(TokenInvalid):
            await verifier.verify(forge(header=header, secret=secret * 32))
    assert asked[3:] == [("k", ()), (None, ()), (None, [old])]


async def test_a_token_expires_after_its_leeway_and_says_so(clock: ManualClock, verifier: TokenVerifier) -> None:
    token = forge()
    clock.advance(3600 + 29.9)
    assert (await verifier.verify(token)).user == "alice"
    clock.advance(0.1)
    with pytest.raises(TokenExpired) as caught:
        await verifier.verify(token)
    assert_silent(caught.value, token)


async def test_a_verified_token_is_verified_once(clock: ManualClock, verifier: TokenVerifier) -> None:
    token = forge()
    first = await verifier.verify(token)
    clock.advance(3599)
    assert await verifier.verify(token) is first


async def test_past_its_end_a_token_on_leeway_is_verified_each_time(
    clock: ManualClock, verifier: TokenVerifier
) -> None:
    token = forge()
    first = await verifier.verify(token)
    clock.advance(3600)
    second = await verifier.verify(token)
    assert second == first
    assert second is not first
    assert await verifier.verify(token) is not second
    assert len(verifier._verified) == 0


async def test_a_flood_of_bad_tokens_pushes_no_good_one_out(clock: ManualClock) -> None:
    verifier = TokenVerifier(auth_settings(), clock, capacity=2)
    good = await verifier.verify(forge())
    for number in range(5):
        with pytest.raises(TokenInvalid):
            await verifier.verify(forge(sub=f"user {number}", secret="guessed"))
    assert await verifier.verify(forge()) is good


async def test_no_more_tokens_are_remembered_than_there_is_room_for(clock: ManualClock) -> None:
    verifier = TokenVerifier(auth_settings(), clock, capacity=3)
    for number in range(10):
        await verifier.verify(forge(sub=f"user {number}"))
    assert len(verifier._verified) == 3


async def test_a_new_configuration_remembers_nothing_of_the_old(clock: ManualClock) -> None:
    token = forge(aud="gatewayd")
    await TokenVerifier(auth_settings(), clock).verify(token)
    with pytest.raises(TokenInvalid):
        await TokenVerifier(auth_settings(audience="another"), clock).verify(token)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
USED = st.sampled_from(["sub", "exp", "nbf", "iat", "iss", "aud", "jti", "plan", "role", "type"])
PRINTABLE_PARTS = st.from_regex(r"[A-Za-z0-9_-]{0,20}", fullmatch=True)


@given(token=st.text() | st.lists(PRINTABLE_PARTS, min_size=1, max_size=5).map(".".join))
async def test_no_text_raises_anything_but_a_refusal(token: str) -> None:
    with pytest.raises(Unauthenticated):
        await TokenVerifier(auth_settings(), ManualClock()).verify(token)


@given(position=st.integers(0, len(forge()) - 1), character=st.characters())
async def test_no_changed_character_goes_unnoticed(position: int, character: str) -> None:
    token = forge()
    changed = token[:position] + character + token[position + 1 :]
    verifier = TokenVerifier(auth_settings(), ManualClock())
    if changed != token:
        with pytest.raises(TokenInvalid):
            await verifier.verify(changed)


@given(claims=st.dictionaries(USED, JSON_VALUES, max_size=4))
async def test_whatever_is_signed_makes_a_sound_identity_or_a_refusal(claims: dict[str, object]) -> None:
    token = forge(json.dumps({"sub": "alice", "exp": NOW + 3600, **claims}))
    try:
        identity = await TokenVerifier(auth_settings(), ManualClock()).verify(token)
    except Unauthenticated:
        return
    assert_sound(identity)


def assert_sound(identity: Identity) -> None:
    for name in (identity.user, identity.plan or "free", identity.token_id or "id", *identity.roles):
        assert 0 < len(name) <= 256
        assert name.isprintable()
        name.encode()
    assert NOW - 30 < identity.expires_at < 253_402_300_800
