"""Verified claims judged (RFC 7519 section 4.1): what they must be before anyone is named by them."""

import math
from collections.abc import Callable, Mapping
from typing import Final

from gatewayd.config.settings import AuthSettings
from gatewayd.errors import TokenExpired, TokenInvalid
from gatewayd.model import Identity

Claims = Mapping[str, object]

MAX_NAME: Final = 256
"""The longest user, plan or role, in characters."""
_LAST_MOMENT: Final = 253_402_300_799  # the end of the year 9999, in seconds since the epoch


def is_name(value: object) -> bool:
    """Whether a user, a plan or a role may be so called: in a header and in a log it reads the same.

    Printable characters only (no controls, surrogates or invisible ones), and no spaces at the ends, which
    whoever parses a header removes.
    """
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME and value.isprintable() and value == value.strip(" ")


def _is_names(value: object) -> bool:
    return is_name(value) or (isinstance(value, list) and all(is_name(item) for item in value))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_audience(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))


def _is_date(value: object) -> bool:
    """A NumericDate (RFC 7519 section 2). The comparison is false for NaN, too."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _LAST_MOMENT


_REGISTERED: Final[Mapping[str, Callable[[object], bool]]] = {
    "exp": _is_date, "nbf": _is_date, "iat": _is_date,
    "iss": _is_text, "sub": _is_text, "jti": is_name, "aud": _is_audience,
}  # fmt: skip


class ClaimRules:
    """What the configuration says about claims: one that is used must be right, others are not looked at."""

    __slots__ = ("_kinds", "_refused_types", "_required", "_settings")

    def __init__(self, settings: AuthSettings) -> None:
        self._settings = settings
        self._kinds = (
            *_REGISTERED.items(),
            (settings.role_claim, _is_names),
            (settings.plan_claim, is_name),
            (settings.user_claim, is_name),
        )
        self._required = (settings.user_claim, *settings.require)
        self._refused_types = frozenset(kind.casefold() for kind in settings.refuse_types)

    def identify(self, claims: Claims, now: float) -> Identity:
        """Who the claims name; `now` is in seconds since the epoch.

        Raises TokenInvalid, and TokenExpired only if all else is right.
        """
        self._judge_kinds(claims)
        self._judge_type(claims)
        self._judge_origin(claims)
        self._judge_dates(claims, now)
        return self._identity(claims)

    def _judge_kinds(self, claims: Claims) -> None:
        for name in self._required:
            if claims.get(name) is None:
                raise TokenInvalid(f"The token must have the claim {name}.")
        for name, is_right in self._kinds:
            if name in claims and not is_right(claims[name]):
                raise TokenInvalid(f"The token's claim {name} is not acceptable.")

    def _judge_type(self, claims: Claims) -> None:
        kind = claims.get("type", "")
        if self._refused_types and (not isinstance(kind, str) or kind.casefold() in self._refused_types):
            raise TokenInvalid("A token of this type is not accepted here.")

    def _judge_origin(self, claims: Claims) -> None:
        issuer, audience = self._settings.issuer, self._settings.audience
        if issuer is not None and claims.get("iss") != issuer:
            raise TokenInvalid("The token is from another issuer.")
        if audience is not None and audience not in _texts(claims.get("aud")):
            raise TokenInvalid("The token is for another audience.")

    def _judge_dates(self, claims: Claims, now: float) -> None:
        latest_start = now + self._settings.leeway
        if max(_date(claims, "nbf", 0), _date(claims, "iat", 0)) > latest_start:
            raise TokenInvalid("The token is not valid yet.")
        if now >= _date(claims, "exp", math.inf) + self._settings.leeway:
            raise TokenExpired

    def _identity(self, claims: Claims) -> Identity:
        settings = self._settings
        plan, token_id = claims.get(settings.plan_claim), claims.get("jti")
        return Identity(
            user=str(claims[settings.user_claim]),
            plan=None if plan is None else str(plan),
            roles=frozenset(_texts(claims.get(settings.role_claim))),
            token_id=None if token_id is None else str(token_id),
            issued_at=_date(claims, "iat", 0) if "iat" in claims else None,
            expires_at=_date(claims, "exp", math.inf),
        )


def _texts(value: object) -> list[str]:
    """A claim that is one text or a list of them, or is absent."""
    if isinstance(value, list):
        return [str(item) for item in value]
    return [] if value is None else [str(value)]


def _date(claims: Claims, name: str, default: float) -> float:
    value = claims.get(name)
    return float(value) if isinstance(value, int | float) else default
