"""Verified claims judged (RFC 7519 section 4.1): what they must be before anyone is named by them."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Final

from gatewayd.config.settings import IssuerSettings
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


# RFC 6749 section 3.3: scope tokens with single spaces; none is no scope.
_SCOPES: Final = re.compile(r"(?:[!#-\[\]-~]+(?: [!#-\[\]-~]+)*)?")
_ABSENT: Final = object()
SERVICE: Final = "service"
"""The `type` of tokens with which agents call agents."""
RUN_CLAIM: Final = "run_id"
ACTOR_CLAIM: Final = "act"
"""Who calls for the user (RFC 8693 section 4.1)."""

Path = tuple[str, ...]


def _is_scopes(value: object) -> bool:
    if isinstance(value, list):
        return all(isinstance(item, str) and item and " " not in item and _SCOPES.fullmatch(item) for item in value)
    return isinstance(value, str) and _SCOPES.fullmatch(value) is not None


def claim_path(name: str) -> Path:
    """Where a claim stands: a name, or a JSON pointer if it begins with a slash (RFC 6901)."""
    if not name.startswith("/"):
        return (name,)
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in name[1:].split("/"))


def _at(claims: Claims, path: Path) -> object:
    """The claim that stands there, or _ABSENT."""
    found: object = claims
    for part in path:
        found = found.get(part, _ABSENT) if isinstance(found, dict) else _ABSENT
    return found


def put(claims: dict[str, object], path: Path, value: object) -> None:
    """Set the claim that stands there; it is nobody else's yet."""
    *tables, last = path
    for name in tables:
        claims = claims.setdefault(name, {})  # type: ignore[assignment]  # made here
    claims[last] = value


def has(claims: Claims, path: Path) -> bool:
    """Whether the claim is there and is not null."""
    return _at(claims, path) not in (None, _ABSENT)


def is_scope(value: object) -> bool:
    """Whether a scope may be so called."""
    return _is_scopes([value])


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_audience(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))


def _is_date(value: object) -> bool:
    """A NumericDate (RFC 7519 section 2). The comparison is false for NaN, too."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= _LAST_MOMENT


_REGISTERED: Final[Mapping[str, Callable[[object], bool]]] = {
    "exp": _is_date, "nbf": _is_date, "iat": _is_date,
    "iss": _is_text, "sub": _is_text, "jti": is_name, "aud": _is_audience,
}  # fmt: skip


class ClaimRules:
    """What the configuration says about claims: one that is used must be right, others are not looked at."""

    __slots__ = ("_kinds", "_plan", "_refused_types", "_required", "_roles", "_scopes", "_settings", "_tenant", "_user")

    def __init__(self, settings: IssuerSettings) -> None:
        self._settings = settings
        self._user = claim_path(settings.user_claim)
        self._plan = claim_path(settings.plan_claim)
        self._roles = claim_path(settings.role_claim)
        self._scopes = claim_path(settings.scope_claim)
        self._tenant = claim_path(settings.tenant_claim) if settings.tenant_claim is not None else None
        self._kinds: tuple[tuple[str, Path, Callable[[object], bool]], ...] = (
            *((name, (name,), is_right) for name, is_right in _REGISTERED.items()),
            (settings.role_claim, self._roles, _is_names),
            (settings.plan_claim, self._plan, is_name),
            (settings.scope_claim, self._scopes, _is_scopes),
            (settings.user_claim, self._user, is_name),
            *(((settings.tenant_claim, self._tenant, is_name),) if settings.tenant_claim and self._tenant else ()),
        )
        self._required = tuple((name, claim_path(name)) for name in (settings.user_claim, *settings.require))
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
        for name, path in self._required:
            if not has(claims, path):
                raise TokenInvalid(f"The token must have the claim {name}.")
        for name, path, is_right in self._kinds:
            if (value := _at(claims, path)) is not _ABSENT and not is_right(value):
                raise TokenInvalid(f"The token's claim {name} is not acceptable.")

    def _judge_type(self, claims: Claims) -> None:
        kind = claims.get("type", "")
        if self._refused_types and (not isinstance(kind, str) or kind.casefold() in self._refused_types):
            raise TokenInvalid("A token of this type is not accepted here.")
        if kind == SERVICE:
            if not is_name(claims.get(RUN_CLAIM)):
                raise TokenInvalid(f"A service token must have the claim {RUN_CLAIM}.")
            if ACTOR_CLAIM in claims and not is_name(_at(claims, (ACTOR_CLAIM, "sub"))):
                raise TokenInvalid(f"The token's claim {ACTOR_CLAIM} is not acceptable.")

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
        user = f"{self._settings.user_prefix}{_at(claims, self._user)}"
        if not is_name(user):
            raise TokenInvalid("The token's user is not acceptable.")
        token_id, service = claims.get("jti"), claims.get("type") == SERVICE
        return Identity(
            user=user,
            plan=_name(claims, self._plan),
            roles=frozenset(_texts(_at(claims, self._roles))),
            token_id=None if token_id is None else str(token_id),
            issued_at=_date(claims, "iat", 0) if "iat" in claims else None,
            expires_at=_date(claims, "exp", math.inf),
            scopes=_scopes(_at(claims, self._scopes)),
            tenant=_name(claims, self._tenant) if self._tenant is not None else None,
            service=(_name(claims, (ACTOR_CLAIM, "sub")) or user) if service else None,
            run=str(claims[RUN_CLAIM]) if service else None,
        )


def _name(claims: Claims, path: Path) -> str | None:
    """A claim that is a name or is absent."""
    return None if (value := _at(claims, path)) is _ABSENT else str(value)


def _scopes(value: object) -> frozenset[str]:
    return frozenset(value.split(" ") if isinstance(value, str) and value else _texts(value) if value != "" else ())


def _texts(value: object) -> list[str]:
    """A claim that is one text or a list of them, or is absent."""
    if isinstance(value, list):
        return [str(item) for item in value]
    return [] if value is None or value is _ABSENT else [str(value)]


def _date(claims: Claims, name: str, default: float) -> float:
    value = claims.get(name)
    return float(value) if isinstance(value, (int, float)) else default
