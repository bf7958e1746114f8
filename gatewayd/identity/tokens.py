"""Token → Identity, verified once and then remembered."""

from collections.abc import Callable, Sequence
from typing import Final

from gatewayd.clock import Clock
from gatewayd.config.settings import AuthSettings, Provider
from gatewayd.errors import TokenInvalid, Unauthenticated
from gatewayd.identity.cache import VerifiedTokens
from gatewayd.identity.issuers import Issuer, Issuers, claims_of
from gatewayd.identity.jws import CompactJws, Header, parse_jws
from gatewayd.identity.signatures import KeySource, VerificationKey
from gatewayd.model import Identity
from gatewayd.remembering import remember

CAPACITY: Final = 50_000
"""How many verified tokens a verifier remembers, unless told otherwise: 1 KB each, against 30 µs and more to verify."""
_HEADERS_KEPT: Final = 64
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
        self._headers: dict[bytes, Header] = {}  # of tokens that were verified, by their text; emptied when full
        self._unproved: tuple[bytes, Sequence[VerificationKey]] = (b"", ())  # the last token, by keys that were at hand

    def known(self, token: bytes, now: float) -> Identity | None:
        """As `verify`, where nobody has to be waited for; None for any other, and for what `verify` refuses."""
        digest = self._verified.digest(token)
        return self._verified.at(digest, now) or self._proved_at_once(token.decode("latin-1"), digest, now)

    async def verify(self, token: str) -> Identity:
        """The identity that the token proves now. Raises TokenInvalid, TokenExpired or IssuerUnavailable."""
        now = self._clock.utc()
        return self._verified.find(token, now) or await self._prove(token, now)

    def _proved_at_once(self, token: str, digest: bytes, now: float) -> Identity | None:
        """By a key that is at hand. Who it is costs no coroutine then, which a crowd of new callers would make each."""
        try:
            jws = parse_jws(token, self._issuers.algorithms, self._headers)
            issuer = self._issuers.of(jws)
            keys = issuer.keys.at_hand(jws.algorithm, jws.key_id)
            for key in keys:
                if key.verifies(jws):
                    return self._identified(digest, jws, issuer, now)
            self._unproved = digest, keys
        except Unauthenticated:
            pass  # `verify` says why
        return None

    async def _prove(self, token: str, now: float) -> Identity:
        jws = parse_jws(token, self._issuers.algorithms, self._headers)
        issuer = self._issuers.of(jws)
        digest = self._verified.digest(token)
        known, keys = self._unproved
        if not await _is_signed(jws, issuer.keys, keys if known == digest else ()):
            raise TokenInvalid(UNVERIFIED)
        return self._identified(digest, jws, issuer, now)

    def _identified(self, digest: bytes, jws: CompactJws, issuer: Issuer, now: float) -> Identity:
        """Whose it is, now that its signature is verified."""
        identity = issuer.rules.identify(claims_of(jws), now)
        self._verified.put(digest, identity, now, now + issuer.remembered)
        if jws.written not in self._headers:
            remember(self._headers, jws.written, jws.header, _HEADERS_KEPT)
        return identity


async def _is_signed(jws: CompactJws, keys: KeySource, refused: Sequence[VerificationKey]) -> bool:
    """Whether one of the keys signed it, of which `refused` are known not to have.

    What names none may be signed with one that is newer than those known.
    """
    tried = await keys.find(jws.algorithm, jws.key_id)
    if any(key.verifies(jws) for key in tried if not any(key is other for other in refused)):
        return True
    if jws.key_id is not None or not tried:
        return False
    return any(key.verifies(jws) for key in await keys.find(jws.algorithm, None, tried))
