"""Keys that verify signatures, each made ready once; the cryptography itself is PyJWT's."""

from dataclasses import dataclass
from typing import Protocol

import jwt
from jwt.algorithms import Algorithm

from gatewayd.config.settings import AuthSettings, Secret
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
    key: object

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

    async def find(self, algorithm: str, key_id: str | None) -> VerificationKey | None:
        """The key for a token whose header says this; None when there is none."""


class ConfiguredKeys:
    """The secret and the public key of the configuration; a token's `kid` does not matter to them."""

    def __init__(self, settings: AuthSettings) -> None:
        """Raises StartError for an algorithm that is unknown, or whose key is missing or unfit."""
        if not settings.algorithms:
            raise StartError("auth.algorithms: name at least one signature algorithm")
        self._keys = {algorithm: _key_for(algorithm, settings) for algorithm in settings.algorithms}

    async def find(self, algorithm: str, key_id: str | None) -> VerificationKey | None:  # noqa: ARG002
        return self._keys.get(algorithm)


def _key_for(algorithm: str, settings: AuthSettings) -> VerificationKey:
    if algorithm not in ALGORITHMS:
        raise StartError(f"auth.algorithms: {algorithm!r} is none of {', '.join(ALGORITHMS)}")
    name = "secret" if needs_secret(algorithm) else "public_key"
    given = settings.secret if needs_secret(algorithm) else settings.public_key
    if given is None:
        raise StartError(f"auth.{name}: {algorithm} needs it to verify tokens")
    try:
        return _read_key(algorithm, given)
    except ValueError as error:
        raise StartError(f"auth.{name}: {error}") from None


def _read_key(algorithm: str, given: Secret) -> VerificationKey:
    if needs_secret(algorithm):
        return VerificationKey.of_secret(algorithm, secret_bytes(given.reveal()))
    return VerificationKey.of_public_key(algorithm, load_public_key(given.reveal()))
