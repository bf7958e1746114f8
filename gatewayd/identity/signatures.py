"""Keys that verify signatures, each made ready once; the cryptography itself is PyJWT's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import jwt
from jwt.algorithms import Algorithm

from gatewayd.config.settings import IssuerSettings, Secret
from gatewayd.errors import StartError
from gatewayd.identity.jws import CompactJws
from gatewayd.keys import (
    ALGORITHMS,
    PublicKey,
    judge_public_key,
    judge_secret,
    load_public_key,
    needs_secret,
    secret_bytes,
)


@dataclass(frozen=True, slots=True, repr=False)
class VerificationKey:
    """A key bound to its one algorithm, so that no token can have it used for another.

    PyJWT's `decode` prepares the key anew for every token and reads both JSON parts again, leniently: of its
    24 µs for HS256 the signature is 1.3.
    """

    algorithm: Algorithm
    key: Any

    @classmethod
    def of_secret(cls, algorithm: str, secret: bytes) -> "VerificationKey":
        """For HS*. Raises ValueError when the secret is unfit."""
        if problem := judge_secret(algorithm, secret):
            raise ValueError(problem)
        return cls(jwt.get_algorithm_by_name(algorithm), secret)

    @classmethod
    def of_public_key(cls, algorithm: str, key: PublicKey) -> "VerificationKey":
        """For the others. Raises ValueError when the key is unfit."""
        if problem := judge_public_key(algorithm, key):
            raise ValueError(problem)
        return cls(jwt.get_algorithm_by_name(algorithm), key)

    def verifies(self, jws: CompactJws) -> bool:
        """Whether the signature is this key's."""
        return self.algorithm.verify(jws.signing_input, self.key, jws.signature)


class KeySource(Protocol):
    """Where a verifier finds its keys: in the configuration, or at an identity provider."""

    def at_hand(self, algorithm: str, key_id: str | None) -> Sequence[VerificationKey]:
        """As `find`, of those that are known here."""

    async def find(
        self, algorithm: str, key_id: str | None, tried: Sequence[VerificationKey] = ()
    ) -> Sequence[VerificationKey]:
        """Those that a token may be signed with whose header says this, few enough to try each, but those `tried`.

        Waits only for a key that is not known. None means that there is no such key; raises IssuerUnavailable where
        that cannot be said.
        """


class ConfiguredKeys:
    """The secrets and the public key of the configuration; a token's `kid` does not matter to them."""

    def __init__(self, settings: IssuerSettings, published: KeySource | None = None, *, key: str = "auth") -> None:
        """`published` has the keys that are not configured, `key` is where the settings stand.

        Raises StartError for an algorithm that is unknown, or whose key is missing or unfit.
        """
        if not settings.algorithms:
            raise StartError(f"{key}.algorithms: name at least one signature algorithm")
        self._published = published
        self._keys: dict[str, tuple[VerificationKey, ...]] = {}
        for algorithm in settings.algorithms:
            if keys := tuple(_keys_for(algorithm, settings, key, elsewhere=published is not None)):
                self._keys[algorithm] = keys

    def at_hand(self, algorithm: str, key_id: str | None) -> Sequence[VerificationKey]:
        found = self._keys.get(algorithm, ())
        if found or self._published is None or needs_secret(algorithm):
            return found
        return self._published.at_hand(algorithm, key_id)

    async def find(
        self, algorithm: str, key_id: str | None, tried: Sequence[VerificationKey] = ()
    ) -> Sequence[VerificationKey]:
        found = self._keys.get(algorithm, ())
        if found or self._published is None or needs_secret(algorithm):
            return () if tried else found
        return await self._published.find(algorithm, key_id, tried)


def _keys_for(algorithm: str, settings: IssuerSettings, at: str, *, elsewhere: bool) -> Iterator[VerificationKey]:
    """The newest first; none where the algorithm's keys are published elsewhere."""
    if algorithm not in ALGORITHMS:
        raise StartError(f"{at}.algorithms: {algorithm!r} is none of {', '.join(ALGORITHMS)}")
    if not needs_secret(algorithm):
        yield from _public(algorithm, settings.public_key, at, elsewhere=elsewhere)
        return
    if settings.secret is None:
        raise StartError(f"{at}.secret: {algorithm} needs it to verify tokens")
    yield _secret(algorithm, settings.secret, f"{at}.secret")
    for name, secret in settings.older_secrets.items():
        yield _secret(algorithm, secret, f"{at}.older_secrets.{name}")


def _secret(algorithm: str, secret: Secret, at: str) -> VerificationKey:
    try:
        return VerificationKey.of_secret(algorithm, secret_bytes(secret.reveal()))
    except ValueError as error:
        raise StartError(f"{at}: {error}") from None


def _public(algorithm: str, given: Secret | None, at: str, *, elsewhere: bool) -> Iterator[VerificationKey]:
    if given is None and not elsewhere:
        raise StartError(f"{at}.public_key: {algorithm} needs it to verify tokens")
    if given is None:
        return
    try:
        key = load_public_key(given.reveal())
        if elsewhere and judge_public_key(algorithm, key):
            return
        yield VerificationKey.of_public_key(algorithm, key)
    except ValueError as error:
        raise StartError(f"{at}.public_key: {error}") from None
