"""Tokens for development, signed with the configured secret: what `gatewayd token` prints."""

import math
from collections.abc import Sequence
from secrets import token_urlsafe

import jwt

from gatewayd.clock import Clock
from gatewayd.config.settings import AuthSettings
from gatewayd.errors import GatewayError
from gatewayd.identity.base import MAX_TOKEN
from gatewayd.identity.claims import MAX_NAME, is_name
from gatewayd.keys import judge_secret, needs_secret, secret_bytes

MAX_TTL = 10 * 366 * 86_400  # ten years, in seconds


class SigningError(GatewayError):
    """No token can be signed as asked; the message is one line that says why and never quotes the secret."""


def sign_token(
    settings: AuthSettings,
    clock: Clock,
    user: str,
    *,
    plan: str | None = None,
    ttl: float = 3600.0,
    roles: Sequence[str] = (),
) -> str:
    """A token that this configuration's verifier accepts for `ttl` seconds. Raises SigningError."""
    algorithm, secret = _signing_key(settings)
    for what, name in (("user", user), ("plan", plan), *(("role", role) for role in roles)):
        if name is not None and not is_name(name):
            raise SigningError(f"a {what} is 1 to {MAX_NAME} printable characters, without spaces at its ends")
    if not 0 < ttl <= MAX_TTL:
        raise SigningError("a token's time to live is more than 0 s and at most ten years")
    claims = _claims(settings, clock, user, plan, ttl, roles)
    if missing := [name for name in settings.require if name not in claims]:
        raise SigningError(f"auth.require asks for claims that cannot be given here: {', '.join(missing)}")
    token = jwt.encode(claims, secret, algorithm=algorithm)
    if len(token) > MAX_TOKEN:
        raise SigningError(f"the token would be longer than {MAX_TOKEN} characters: give fewer roles")
    return token


def _signing_key(settings: AuthSettings) -> tuple[str, bytes]:
    """The first HS* algorithm and the secret, which must be fit for it."""
    algorithm = next(filter(needs_secret, settings.algorithms), None)
    if algorithm is None:
        raise SigningError("tokens are signed with a secret: auth.algorithms has none of HS256, HS384, HS512")
    if settings.secret is None:
        raise SigningError(f"auth.secret: {algorithm} needs it to sign tokens")
    secret = secret_bytes(settings.secret.reveal())
    if problem := judge_secret(algorithm, secret):
        raise SigningError(f"auth.secret: {problem}")
    return algorithm, secret


def _claims(
    settings: AuthSettings, clock: Clock, user: str, plan: str | None, ttl: float, roles: Sequence[str]
) -> dict[str, object]:
    now = int(clock.utc())
    claims: dict[str, object] = {
        "iat": now,
        "nbf": now,
        "exp": now + math.ceil(ttl),
        "jti": token_urlsafe(16),
    }
    optional = {
        "iss": settings.issuer,
        "aud": settings.audience,
        settings.plan_claim: plan,
        settings.role_claim: list(roles) or None,
    }
    claims |= {name: value for name, value in optional.items() if value is not None}
    return claims | {"sub": user, settings.user_claim: user}
