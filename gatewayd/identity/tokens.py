"""Token → Identity, verified once and then remembered."""

from collections.abc import Callable
from typing import Final

from gatewayd.clock import Clock
from gatewayd.config.settings import AuthSettings, Provider
from gatewayd.errors import TokenInvalid
from gatewayd.identity.cache import VerifiedTokens
from gatewayd.identity.issuers import Issuers, claims_of
from gatewayd.identity.jws import CompactJws, parse_jws
from gatewayd.identity.signatures import KeySource
from gatewayd.model import Identity

CAPACITY: Final = 50_000
"""How many verified tokens a verifier remembers, unless told otherwise: 1 KB each, against 30 µs and more to verify."""
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
        published: Callable[[Provider], KeySource] | None = None,
        keys: KeySource | None = None,
        capacity: int = CAPACITY,
    ) -> None:
        """`published` gives a provider's keys; `keys` replaces those of the issuer without a name.

        Raises StartError for a key that cannot serve.
        """
        self._issuers = Issuers(settings, published, keys)
        self._clock = clock
        self._verified = VerifiedTokens(capacity)

    def known(self, token: bytes, now: float) -> Identity | None:
        """As `verify`, for a token that was verified before; None for any other."""
        return self._verified.find(token, now)

    async def verify(self, token: str) -> Identity:
        """The identity that the token proves now. Raises TokenInvalid, TokenExpired or IssuerUnavailable."""
        now = self._clock.utc()
        return self._verified.find(token, now) or await self._prove(token, now)

    async def _prove(self, token: str, now: float) -> Identity:
        jws = parse_jws(token, self._issuers.algorithms)
        issuer = self._issuers.of(jws)
        if not await _is_signed(jws, issuer.keys):
            raise TokenInvalid(UNVERIFIED)
        identity = issuer.rules.identify(claims_of(jws), now)
        self._verified.keep(token, identity, now, now + issuer.remembered)
        return identity


async def _is_signed(jws: CompactJws, keys: KeySource) -> bool:
    """Whether one of the keys signed it. What names none may be signed with one that is newer than those known."""
    tried = await keys.find(jws.algorithm, jws.key_id)
    if any(key.verifies(jws) for key in tried):
        return True
    if jws.key_id is not None or not tried:
        return False
    return any(key.verifies(jws) for key in await keys.find(jws.algorithm, None, tried))
