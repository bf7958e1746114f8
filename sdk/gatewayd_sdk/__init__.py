"""The client of gatewayd: `Gateway` blocks, `AsyncGateway` is for asyncio, and both have the same methods.

GatewayError
├── ConfigurationError           an argument or a variable is wrong: nothing was sent
├── APIConnectionError           no whole answer came
│   └── APITimeoutError          not in time
├── APIResponseError             an answer came that is not one of a gatewayd or its agents
└── APIStatusError               the answer is an error: `.status .code .request_id .body`
    ├── AuthenticationError 401 · QuotaExceededError 402 (`.unit .limit .used .resets_at`)
    ├── PermissionDeniedError 403 · NotFoundError 404 · RateLimitError 429 (`.retry_after`)
    └── BadGatewayError 502 · UnavailableError 503 · GatewayTimeoutError 504
"""

import importlib
from typing import TYPE_CHECKING, Final

from gatewayd_sdk._core.errors import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadGatewayError,
    ConfigurationError,
    GatewayError,
    GatewayTimeoutError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    UnavailableError,
)
from gatewayd_sdk._core.limits import RateLimit, RateLimitWindow
from gatewayd_sdk._core.options import Timeout
from gatewayd_sdk._core.sse import Event, EventDecoder
from gatewayd_sdk._version import __version__

if TYPE_CHECKING:
    from gatewayd_sdk._asyncio.client import AsyncGateway
    from gatewayd_sdk._blocking.client import Gateway

__all__ = [
    "APIConnectionError",
    "APIResponseError",
    "APIStatusError",
    "APITimeoutError",
    "AsyncGateway",
    "AuthenticationError",
    "BadGatewayError",
    "ConfigurationError",
    "Event",
    "EventDecoder",
    "Gateway",
    "GatewayError",
    "GatewayTimeoutError",
    "NotFoundError",
    "PermissionDeniedError",
    "QuotaExceededError",
    "RateLimit",
    "RateLimitError",
    "RateLimitWindow",
    "Timeout",
    "UnavailableError",
    "__version__",
]

_CLIENTS: Final = {"AsyncGateway": "gatewayd_sdk._asyncio.client", "Gateway": "gatewayd_sdk._blocking.client"}


def __getattr__(name: str) -> object:
    """The clients, imported when first asked for: who uses one does not wait for the other's HTTP library."""
    if name not in _CLIENTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_CLIENTS[name]), name)
