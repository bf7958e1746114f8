"""What the rest of the program asks of this package, and how a token is found in a request."""

import re
from collections.abc import Sequence
from typing import Final, Protocol

from gatewayd.errors import TokenInvalid
from gatewayd.model import Identity

MAX_TOKEN: Final = 8 * 1024
"""The longest token that is looked at, in characters."""

# RFC 6750 section 2.1 and RFC 9110 section 11.4: the scheme in any case, spaces, one b64token.
_BEARER: Final = re.compile(r"(?ai:bearer) +([A-Za-z0-9\-._~+/]+=*)")


class Verifier(Protocol):
    """Tells whose token this is."""

    def known(self, token: bytes, now: float) -> Identity | None:
        """What a token proves that was verified before and has not expired, or that can be verified without waiting.

        `now` is this moment, UTC seconds: who asks has read the clock already.
        """

    async def verify(self, token: str) -> Identity:
        """The identity that the token proves. Raises TokenInvalid or TokenExpired, which never quote it."""


def bearer_token(authorization: Sequence[bytes | str]) -> str | None:
    """The token in a request's Authorization fields, one value a field; None when there is no such field.

    Raises TokenInvalid for anything but exactly one `Bearer` credential: two fields could mean two callers.
    """
    if not authorization:
        return None
    if len(authorization) > 1:
        raise TokenInvalid("Send one Authorization header only.")
    value = authorization[0]
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    found = _BEARER.fullmatch(text.strip(" \t"))
    if found is None or len(found[1]) > MAX_TOKEN:
        raise TokenInvalid("Send one token: Authorization: Bearer <token>.")
    return found[1]
