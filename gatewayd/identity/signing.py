"""Tokens for development, signed with the configured secret: what `gatewayd token` prints."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from secrets import token_urlsafe
from typing import Any

import jwt

from gatewayd.clock import Clock
from gatewayd.config.settings import AuthSettings
from gatewayd.errors import GatewayError
from gatewayd.identity.base import MAX_TOKEN
from gatewayd.identity.claims import ACTOR_CLAIM, MAX_NAME, RUN_CLAIM, SERVICE, claim_path, has, is_name, is_scope, put
from gatewayd.keys import judge_secret, needs_secret, secret_bytes

MAX_TTL = 10 * 366 * 86_400  # ten years, in seconds


class SigningError(GatewayError):
    """No token can be signed as asked; the message is one line that says why and never quotes the secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a token says of its user; `run` makes it one with which the agent `service` calls for the user."""

    plan: str | None = None
    roles: Sequence[str] = ()
    scopes: Sequence[str] = ()
    tenant: str | None = None
    service: str | None = None
    run: str | None = None


def sign_token(
    settings: AuthSettings, clock: Clock, user: str, grant: Grant | None = None, *, ttl: float = 3600.0, **granted: Any
) -> str:
    """A token that this configuration's verifier accepts for `ttl` seconds. Raises SigningError.

    `granted` are the members of a Grant, for whoever has none.
    """
    algorithm, secret = signing_key(settings)
    grant = grant or Grant(**granted)
    _judge(settings, user, grant)
    if not 0 < ttl <= MAX_TTL:
        raise SigningError("a token's time to live is more than 0 s and at most ten years")
    now = int(clock.utc())
    dates = {"iat": now, "nbf": now, "exp": now + math.ceil(ttl)}
    claims = claims_for(settings, user, grant) | dates | {"jti": token_urlsafe(16)}
    if missing := [name for name in settings.require if not has(claims, claim_path(name))]:
        raise SigningError(f"auth.require asks for claims that cannot be given here: {', '.join(missing)}")
    token = jwt.encode(claims, secret, algorithm=algorithm)
    if len(token) > MAX_TOKEN:
        raise SigningError(f"the token would be longer than {MAX_TOKEN} characters: give fewer roles")
    return token


def _judge(settings: AuthSettings, user: str, grant: Grant) -> None:
    named = (("plan", grant.plan), ("tenant", grant.tenant), ("service", grant.service), ("run", grant.run))
    for what, name in (("user", user), *named, *(("role", role) for role in grant.roles)):
        if name is not None and not is_name(name):
            raise SigningError(f"a {what} is 1 to {MAX_NAME} printable characters, without spaces at its ends")
    if not all(map(is_scope, grant.scopes)):
        raise SigningError("a scope is printable ASCII without spaces, quotes and backslashes")
    if grant.tenant is not None and settings.tenant_claim is None:
        raise SigningError("auth.tenant_claim: it must be set for tokens to name a tenant")
    if grant.service is not None and grant.run is None:
        raise SigningError("a service token belongs to a run")


def signing_key(settings: AuthSettings) -> tuple[str, bytes]:
    """The first HS* algorithm and the newest secret, which must be fit for it. Raises SigningError."""
    algorithm = next(filter(needs_secret, settings.algorithms), None)
    if algorithm is None:
        raise SigningError("tokens are signed with a secret: auth.algorithms has none of HS256, HS384, HS512")
    if settings.secret is None:
        raise SigningError(f"auth.secret: {algorithm} needs it to sign tokens")
    secret = secret_bytes(settings.secret.reveal())
    if problem := judge_secret(algorithm, secret):
        raise SigningError(f"auth.secret: {problem}")
    return algorithm, secret


def claims_for(settings: AuthSettings, user: str, grant: Grant) -> dict[str, object]:
    """What the verifier of these settings reads as this user and grant; without dates and an id."""
    claims: dict[str, object] = {"sub": user}
    optional = (
        ("iss", settings.issuer),
        ("aud", settings.audience),
        (settings.user_claim, user),
        (settings.plan_claim, grant.plan),
        (settings.role_claim, list(grant.roles) or None),
        (settings.scope_claim, " ".join(grant.scopes) or None),
        (settings.tenant_claim, grant.tenant),
    )
    for name, value in optional:
        if name is not None and value is not None:
            put(claims, claim_path(name), value)
    if grant.run is not None:
        claims |= {"type": SERVICE, RUN_CLAIM: grant.run}
        claims |= {ACTOR_CLAIM: {"sub": grant.service}} if grant.service is not None else {}
    return claims
