"""The client of gatewayd: `Gateway` blocks, `AsyncGateway` is for asyncio, and both have the same methods.

GatewayError
├── ConfigurationError           an argument or a variable is wrong: nothing was sent
├── APIConnectionError           no whole answer came
│   └── APITimeoutError          not in time
├── APIResponseError             an answer came that cannot be used
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
from gatewayd_sdk._core.pacing import Pacer
from gatewayd_sdk._core.records import Usage
from gatewayd_sdk._core.results import (
    Agent,
    AgentList,
    ChatAnswer,
    ChatEvent,
    CurrentUsage,
    Diagnosis,
    Document,
    DocumentList,
    EmailPage,
    EmailReply,
    EmailSummary,
    ProcessedEmail,
    RawResponse,
    Response,
    ScrapedPage,
    Source,
    SupportMessage,
    SupportReply,
    Ticket,
    UnitBalance,
    UploadedDocument,
)
from gatewayd_sdk._core.sse import Event, EventDecoder
from gatewayd_sdk._version import __version__

if TYPE_CHECKING:
    from gatewayd_sdk._asyncio.client import AsyncGateway
    from gatewayd_sdk._asyncio.history import AsyncEmailHistory
    from gatewayd_sdk._asyncio.sessions import AsyncSupportSession
    from gatewayd_sdk._asyncio.streams import AsyncChatStream, AsyncResponseStream
    from gatewayd_sdk._blocking.client import Gateway
    from gatewayd_sdk._blocking.history import EmailHistory
    from gatewayd_sdk._blocking.sessions import SupportSession
    from gatewayd_sdk._blocking.streams import ChatStream, ResponseStream

__all__ = [
    "APIConnectionError",
    "APIResponseError",
    "APIStatusError",
    "APITimeoutError",
    "Agent",
    "AgentList",
    "AsyncChatStream",
    "AsyncEmailHistory",
    "AsyncGateway",
    "AsyncResponseStream",
    "AsyncSupportSession",
    "AuthenticationError",
    "BadGatewayError",
    "ChatAnswer",
    "ChatEvent",
    "ChatStream",
    "ConfigurationError",
    "CurrentUsage",
    "Diagnosis",
    "Document",
    "DocumentList",
    "EmailHistory",
    "EmailPage",
    "EmailReply",
    "EmailSummary",
    "Event",
    "EventDecoder",
    "Gateway",
    "GatewayError",
    "GatewayTimeoutError",
    "NotFoundError",
    "Pacer",
    "PermissionDeniedError",
    "ProcessedEmail",
    "QuotaExceededError",
    "RateLimit",
    "RateLimitError",
    "RateLimitWindow",
    "RawResponse",
    "Response",
    "ResponseStream",
    "ScrapedPage",
    "Source",
    "SupportMessage",
    "SupportReply",
    "SupportSession",
    "Ticket",
    "Timeout",
    "UnavailableError",
    "UnitBalance",
    "UploadedDocument",
    "Usage",
    "__version__",
]

_LATER: Final = {
    "AsyncChatStream": "_asyncio.streams",
    "AsyncEmailHistory": "_asyncio.history",
    "AsyncGateway": "_asyncio.client",
    "AsyncResponseStream": "_asyncio.streams",
    "AsyncSupportSession": "_asyncio.sessions",
    "ChatStream": "_blocking.streams",
    "EmailHistory": "_blocking.history",
    "Gateway": "_blocking.client",
    "ResponseStream": "_blocking.streams",
    "SupportSession": "_blocking.sessions",
}


def __getattr__(name: str) -> object:
    """The clients, imported when first asked for: who uses one does not wait for the other's HTTP library."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
