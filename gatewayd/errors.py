"""Everything that can go wrong and still be said plainly; nothing here knows how it is sent.

GatewayError
├── ConfigError          every problem of a configuration at once
├── StartError           the daemon cannot start: one line that says what, and how to mend it
├── StoreError           a store cannot be used
└── Refusal              a request is answered by the gateway itself (contract, section 4)
    ├── BadRequest 400 · RequestTimeout 408 · BodyTooLarge 413 · UriTooLong 414 · HeadersTooLarge 431
    ├── Unauthenticated 401: TokenMissing, TokenInvalid (TokenRevoked), TokenExpired
    ├── QuotaExhausted 402 · RoleDenied, ScopeDenied 403 · RouteUnknown 404 · MethodNotAllowed 405
    ├── RateLimited 429 · ClientClosed 499 (log and records only) · InternalError 500
    ├── UpstreamFailure 502: UpstreamConnect, UpstreamReset, UpstreamProtocol
    ├── Unavailable 503: Draining, Overloaded, StoreUnavailable, IssuerUnavailable
    └── UpstreamTimeout 504 · VersionUnsupported 505
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar


class GatewayError(Exception):
    """The root: catch it to catch all that this package raises on purpose."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One fault of a configuration: where it stands, which key, what is wrong, how to mend it.

    `line` and `column` count from 1; 0 means that the fault has no place in the text (a missing key, say).
    """

    file: str
    line: int
    column: int
    key: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.file}:{self.line}:{self.column}: {self.key}: {self.message}{hint}"


class ConfigError(GatewayError):
    """A configuration was refused; `problems` has every reason, in the order of the file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class StartError(GatewayError):
    """The daemon cannot start; the message is one line for the operator."""


class StoreError(GatewayError):
    """A store refused to open or cannot be reached; the message names it."""


class Refusal(GatewayError):
    """The gateway's own answer to a request, as facts: the `faults` policy alone turns them into HTTP.

    `detail` must never quote what the caller sent. `headers` are added to the response, `members` to the
    problem document. `closes` says that the connection cannot be used again.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"
    closes: ClassVar[bool] = False

    def __init__(
        self,
        detail: str = "",
        *,
        headers: Sequence[tuple[str, str]] = (),
        members: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or f"{self.title}."
        self.headers = tuple(headers)
        self.members: Mapping[str, object] = members or {}


class InternalError(Refusal):
    """A fault of our own; the reason is in the daemon's log under the request id, never in the answer."""


class BadRequest(Refusal):
    """Ambiguous or malformed: RFC 9112 section 11.2 is about what happens to those who are lenient."""

    status, code, title, closes = 400, "bad_request", "Bad request", True


class Unauthenticated(Refusal):
    """RFC 6750 section 3.1: the challenge names an error only if a token was sent."""

    status = 401

    def __init__(self, detail: str = "", *, error: str | None = "invalid_token") -> None:
        challenge = 'Bearer realm="gatewayd"' + (f', error="{error}"' if error else "")
        super().__init__(detail, headers=(("WWW-Authenticate", challenge),))


class TokenMissing(Unauthenticated):
    code, title = "token_missing", "A token is required"

    def __init__(self, detail: str = "Send a token: Authorization: Bearer <token>.") -> None:
        super().__init__(detail, error=None)


class TokenInvalid(Unauthenticated):
    code, title = "token_invalid", "The token was not accepted"


class TokenRevoked(TokenInvalid):
    """To the caller one like any other that was not accepted; `detail` says what to do about it."""

    def __init__(self) -> None:
        super().__init__("The token was revoked; get a new one.")


class TokenExpired(Unauthenticated):
    code, title = "token_expired", "The token has expired"


class QuotaExhausted(Refusal):
    """`used` counts what is spent and what requests in flight hold; `limit` 0 and no plan: none was found."""

    status, code, title = 402, "quota_exhausted", "The quota is used up"

    def __init__(self, *, unit: str, limit: int, used: int, plan: str | None, resets_at: str, detail: str = "") -> None:
        super().__init__(
            detail or f"This period's quota of {unit} does not cover the request.",
            headers=(("x-should-retry", "false"),),
            members={"unit": unit, "limit": limit, "used": used, "plan": plan, "resets_at": resets_at},
        )


class RoleDenied(Refusal):
    status, code, title = 403, "role_denied", "The token's roles do not allow this"


class ScopeDenied(Refusal):
    """RFC 6750 section 3.1: the challenge names the scopes that the route asks for."""

    status, code, title = 403, "scope_denied", "The token's scopes do not allow this"

    def __init__(self, needed: Sequence[str] = ()) -> None:
        challenge = f'Bearer realm="gatewayd", error="insufficient_scope", scope="{" ".join(needed)}"'
        super().__init__(headers=(("WWW-Authenticate", challenge),))


class RouteUnknown(Refusal):
    status, code, title = 404, "route_unknown", "No such route"


class MethodNotAllowed(Refusal):
    status, code, title = 405, "method_not_allowed", "The method is not allowed here"

    def __init__(self, allowed: Sequence[str]) -> None:
        super().__init__(headers=(("Allow", ", ".join(allowed)),))


class RequestTimeout(Refusal):
    status, code, title, closes = 408, "request_timeout", "The request did not arrive in time", True


class BodyTooLarge(Refusal):
    status, code, title, closes = 413, "body_too_large", "The body is too large", True


class UriTooLong(Refusal):
    status, code, title, closes = 414, "uri_too_long", "The request target is too long", True


class RateLimited(Refusal):
    """`retry_after` is whole seconds: who sleeps so long, alone, is admitted (RFC 9110 section 10.2.3)."""

    status, code, title = 429, "rate_limited", "Too many requests"

    def __init__(self, *, retry_after: int) -> None:
        super().__init__(
            f"Try again in {retry_after} s.",
            headers=(("Retry-After", str(retry_after)),),
            members={"retry_after": retry_after},
        )


class HeadersTooLarge(Refusal):
    status, code, title, closes = 431, "headers_too_large", "The header section is too large", True


class ClientClosed(Refusal):
    """Never sent: the caller is gone. nginx's 499, for the log and the records."""

    status, code, title, closes = 499, "client_closed", "The caller left", True


class UpstreamFailure(Refusal):
    status = 502


class UpstreamConnect(UpstreamFailure):
    code, title = "upstream_connect", "The agent cannot be reached"


class UpstreamReset(UpstreamFailure):
    code, title = "upstream_reset", "The agent broke off"


class UpstreamProtocol(UpstreamFailure):
    code, title = "upstream_protocol", "The agent's answer is not valid HTTP"


class Unavailable(Refusal):
    """`retry_after` is in seconds; what is said of the kind holds where nobody knows better."""

    status = 503
    retry_after: ClassVar[int] = 1

    def __init__(self, detail: str = "", *, retry_after: int | None = None) -> None:
        super().__init__(detail, headers=(("Retry-After", str(retry_after or self.retry_after)),))


class Draining(Unavailable):
    code, title, closes = "draining", "The gateway is shutting down", True


class Overloaded(Unavailable):
    code, title, closes = "overloaded", "The gateway is at its limit", True


class Crowded(Unavailable):
    """As Overloaded, for a caller whose connection may stay."""

    code, title = Overloaded.code, Overloaded.title


class StoreUnavailable(Unavailable):
    code, title = "store_unavailable", "A store is not available"


class IssuerUnavailable(Unavailable):
    """The token's key is unknown and could not be asked for: nobody can tell whether it is good, so it is not bad."""

    code, title = "issuer_unavailable", "The identity provider's keys cannot be had"


class UpstreamTimeout(Refusal):
    status, code, title = 504, "upstream_timeout", "The agent did not answer in time"


class VersionUnsupported(Refusal):
    status, code, title, closes = 505, "version_unsupported", "Only HTTP/1.0 and HTTP/1.1 are spoken here", True
