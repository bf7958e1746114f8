"""Whose token is it? Each issuer has its own algorithms, keys and rules, and none verifies another's tokens."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf
from typing import Final

from gatewayd.config.settings import AuthSettings, IssuerSettings, Provider
from gatewayd.errors import StartError, TokenInvalid
from gatewayd.identity.claims import ClaimRules, Claims
from gatewayd.identity.jws import MALFORMED, NOT_ALLOWED, CompactJws, json_object
from gatewayd.identity.signatures import ConfiguredKeys, KeySource

REMEMBERED: Final = 60.0
UNKNOWN: Final = "The token is from another issuer."

PublishedBy = Callable[[Provider], KeySource]


@dataclass(frozen=True, slots=True)
class Issuer:
    """`remembered` is how long a verified token is, in seconds: its key may be withdrawn if others publish it."""

    algorithms: frozenset[str]
    keys: KeySource
    rules: ClaimRules
    remembered: float


class Issuers:
    """Those of one configuration. A token is of the named issuer in its `iss`, else of the one without a name."""

    __slots__ = ("_named", "_unnamed", "algorithms")

    def __init__(self, settings: AuthSettings, published: PublishedBy | None, keys: KeySource | None = None) -> None:
        """`keys` replaces those of the issuer without a name. Raises StartError for a key that cannot serve."""
        self._unnamed: Issuer | None = None
        if keys is not None or settings.takes_unnamed or not settings.issuers:
            self._unnamed = _issuer(settings, keys or _keys_of(settings, published, "auth"))
        self._named = {
            str(each.issuer): _issuer(each, _keys_of(each, published, f"auth.issuers.{name}"))
            for name, each in settings.issuers.items()
        }
        self.algorithms = frozenset[str]().union(*(each.algorithms for each in self._every()))

    def _every(self) -> Iterator[Issuer]:
        yield from self._named.values()
        if self._unnamed is not None:
            yield self._unnamed

    def of(self, jws: CompactJws) -> Issuer:
        """Whose token this says it is, which nobody has verified yet. Raises TokenInvalid.

        Where there is only one issuer, nothing of the payload is read before its signature is verified.
        """
        if not self._named and self._unnamed is not None:
            return self._unnamed
        named = claims_of(jws).get("iss")
        issuer = self._named.get(named, self._unnamed) if isinstance(named, str) else self._unnamed
        if issuer is None:
            raise TokenInvalid(UNKNOWN)
        if jws.algorithm not in issuer.algorithms:
            raise TokenInvalid(NOT_ALLOWED)
        return issuer


def claims_of(jws: CompactJws) -> Claims:
    """The payload as claims. Raises TokenInvalid."""
    claims = json_object(jws.payload)
    if claims is None:
        raise TokenInvalid(MALFORMED)
    return claims


def _issuer(settings: IssuerSettings, keys: KeySource) -> Issuer:
    remembered = REMEMBERED if settings.provider is not None else inf
    return Issuer(frozenset(settings.algorithms), keys, ClaimRules(settings), remembered)


def _keys_of(settings: IssuerSettings, published: PublishedBy | None, at: str) -> KeySource:
    provider = settings.provider
    if provider is not None and published is None:
        raise StartError(f"{at}: its keys are published, and nobody is here to fetch them")
    try:
        theirs = published(provider) if provider is not None and published is not None else None
    except StartError as error:
        raise StartError(f"{at}.{error}") from None
    return ConfiguredKeys(settings, theirs, key=at)
