"""Everything that a call may raise.

GatewayError
├── ConfigurationError           an argument or a variable is wrong: nothing was sent
├── APIConnectionError           no whole answer came: not reached, TLS, broken off
│   └── APITimeoutError          not in time: connect, total or idle
├── APIResponseError             an answer came that cannot be used: not JSON, no events, a member missing
└── APIStatusError               an answer came, and it is an error: `.status .code .request_id .body`
    ├── AuthenticationError      401   token_missing · token_invalid · token_expired
    ├── QuotaExceededError       402   `.unit .limit .used .resets_at`; never repeated
    ├── PermissionDeniedError    403
    ├── NotFoundError            404
    ├── RateLimitError           429   `.retry_after`
    ├── BadGatewayError          502   the agent could not be reached, broke off, or spoke no HTTP
    ├── UnavailableError         503   draining · overloaded · store_unavailable
    └── GatewayTimeoutError      504   the agent did not answer in time

Other statuses are an `APIStatusError` itself. A message says what happened and what to do; none has a token in it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

from gatewayd_sdk._core.headers import Headers
from gatewayd_sdk._core.limits import moment_in


class GatewayError(Exception):
    """The root: catch it to catch all that this package raises on purpose."""

    request_id: str | None = None
    """The id under which the gateway knows the call, if an answer came."""


class ConfigurationError(GatewayError):
    """An argument or an environment variable cannot be used; nothing was sent."""


class APIConnectionError(GatewayError):
    """No whole answer came, or a WebSocket session broke off. Whether the agent did its work is not known."""


class APITimeoutError(APIConnectionError):
    """No whole answer came in time."""


class APIResponseError(GatewayError):
    """An answer came that this client cannot use: not JSON, without a member that it must have, or a broken stream."""


class APIStatusError(GatewayError):
    """An answer came, and its status says error.

    `body` is the JSON that came, or the text when it was none. `code` is the gateway's or the agent's word for what
    happened, empty when the answer has none. `retry_after` is in seconds, None when the answer does not ask to wait.
    """

    request_id: str | None
    hint: ClassVar[str] = ""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str = "",
        request_id: str | None = None,
        body: object = None,
        headers: Headers | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.request_id = request_id
        self.body = body
        self.headers = Headers() if headers is None else headers
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), str(self), dict(self.__dict__))


def _rebuild(cls: type[APIStatusError], message: str, facts: Mapping[str, object]) -> APIStatusError:
    error = cls.__new__(cls, message)
    error.args = (message,)
    error.__dict__.update(facts)
    return error


class AuthenticationError(APIStatusError):
    """401: no token, or one that is not accepted."""

    hint = "give token= or set GATEWAYD_TOKEN; a callable as token= gets a new one when one has expired"


class QuotaExceededError(APIStatusError):
    """402: the quota of this period is used up; asking again before `resets_at` is of no use."""

    hint = "wait for the next period, or ask for a larger plan"

    @property
    def unit(self) -> str | None:
        """What is counted: `api_calls`, `scraping_tasks`, …"""
        return value if isinstance(value := self._fact("unit"), str) else None

    @property
    def limit(self) -> int | None:
        return value if isinstance(value := self._fact("limit"), int) else None

    @property
    def used(self) -> int | None:
        return value if isinstance(value := self._fact("used"), int) else None

    @property
    def resets_at(self) -> datetime | None:
        """When the next period begins."""
        return moment_in(self._fact("resets_at"))

    def _fact(self, name: str) -> object:
        return self.body.get(name) if isinstance(self.body, dict) else None


class PermissionDeniedError(APIStatusError):
    """403: the token's role does not allow this route."""

    hint = "use a token whose role the route allows"


class NotFoundError(APIStatusError):
    """404: there is no such route, or the agent has no such thing."""


class RateLimitError(APIStatusError):
    """429: too many calls; `retry_after` seconds later a lone caller is admitted."""

    hint = "wait retry_after seconds, or use a Pacer"


class BadGatewayError(APIStatusError):
    """502: the agent could not be reached, broke off, or did not speak HTTP."""


class UnavailableError(APIStatusError):
    """503: the gateway, or what it needs, is not available right now."""


class GatewayTimeoutError(APIStatusError):
    """504: the agent did not answer in the time that its route allows."""


CLASSES: Mapping[int, type[APIStatusError]] = {
    401: AuthenticationError,
    402: QuotaExceededError,
    403: PermissionDeniedError,
    404: NotFoundError,
    429: RateLimitError,
    502: BadGatewayError,
    503: UnavailableError,
    504: GatewayTimeoutError,
}
