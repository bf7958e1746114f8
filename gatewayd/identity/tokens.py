"""Token → Identity, verified once and then remembered."""

from typing import Final

from gatewayd.clock import Clock
from gatewayd.config.settings import AuthSettings
from gatewayd.errors import TokenInvalid
from gatewayd.identity.cache import VerifiedTokens
from gatewayd.identity.claims import ClaimRules
from gatewayd.identity.jws import MALFORMED, json_object, parse_jws
from gatewayd.identity.signatures import ConfiguredKeys, KeySource
from gatewayd.model import Identity

CAPACITY: Final = 10_000
"""How many verified tokens a verifier remembers, unless told otherwise."""
UNVERIFIED: Final = "The token's signature is not valid."


class TokenVerifier:
    """Verifies JSON Web Tokens (RFC 7519, with the care of RFC 8725) by one configuration.

    A reload makes a new one, so what an older configuration let in is verified again under the newer.
    """

    def __init__(
        self,
        settings: AuthSettings,
        clock: Clock,
        *,
        keys: KeySource | None = None,
        capacity: int = CAPACITY,
    ) -> None:
        """`keys` default to the configured ones, and then StartError tells of a key that cannot serve."""
        self._keys = keys or ConfiguredKeys(settings)
        self._algorithms = frozenset(settings.algorithms)
        self._rules = ClaimRules(settings)
        self._clock = clock
        self._verified = VerifiedTokens(capacity)

    async def verify(self, token: str) -> Identity:
        """The identity that the token proves now. Raises TokenInvalid or TokenExpired."""
        now = self._clock.utc()
        identity = self._verified.find(token, now)
        if identity is None:
            identity = self._rules.identify(await self._claims(token), now)
            self._verified.keep(token, identity, now)
        return identity

    async def _claims(self, token: str) -> dict[str, object]:
        jws = parse_jws(token, self._algorithms)
        key = await self._keys.find(jws.algorithm, jws.key_id)
        if key is None or not key.verifies(jws):
            raise TokenInvalid(UNVERIFIED)
        claims = json_object(jws.payload)
        if claims is None:
            raise TokenInvalid(MALFORMED)
        return claims
