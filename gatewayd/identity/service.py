"""Tokens with which one agent calls others for a user: made for each call of a route that asks for them."""

import math
from secrets import token_urlsafe

import jwt

from gatewayd.config.settings import AuthSettings
from gatewayd.errors import StartError
from gatewayd.identity.claims import claim_path, has
from gatewayd.identity.signing import Grant, SigningError, claims_for, signing_key
from gatewayd.model import Identity


class ServiceTokens:
    """Signs for one agent, by the newest secret.

    Such a token is no more than what it was made from: the same user, plan, roles and scopes, the same `jti` and
    `iat`, so that whatever revokes the caller's token revokes it too, and it does not live longer.
    """

    def __init__(self, settings: AuthSettings, agent: str, ttl: float) -> None:
        """`ttl` in seconds. Raises StartError if nothing can be signed."""
        try:
            self._algorithm, self._secret = signing_key(settings)
        except SigningError as error:
            raise StartError(f"routes.{agent}.service_token: {error}") from None
        probe = claims_for(settings, "user", Grant(run="run", service=agent)) | dict.fromkeys(("exp", "nbf", "jti"), 1)
        if missing := [name for name in settings.require if name != "iat" and not has(probe, claim_path(name))]:
            raise StartError(f"routes.{agent}.service_token: auth.require asks for {', '.join(missing)}")
        self._settings = settings
        self._agent = agent
        self._ttl = ttl

    def sign(self, identity: Identity, run: str, utc: float) -> str:
        """For the agent's calls in this run (the caller's, if that is an agent already), from now on."""
        grant = Grant(
            plan=identity.plan,
            roles=sorted(identity.roles),
            scopes=sorted(identity.scopes),
            tenant=identity.tenant,
            service=self._agent,
            run=identity.run or run,
        )
        claims = claims_for(self._settings, identity.user, grant) | {
            "nbf": math.floor(utc),
            "exp": min(math.ceil(utc + self._ttl), identity.expires_at),
            "jti": identity.token_id or token_urlsafe(16),
        }
        if identity.issued_at is not None:
            claims["iat"] = identity.issued_at
        return jwt.encode(claims, self._secret, algorithm=self._algorithm)
