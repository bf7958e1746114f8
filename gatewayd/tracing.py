"""Whether requests have spans. What makes them is an extra, which costs memory and the start's time: `spans`."""

from collections.abc import Iterable
from contextlib import AsyncExitStack
from importlib import import_module
from typing import Protocol, cast

from aiohttp.typedefs import Middleware

from gatewayd.config.settings import Settings
from gatewayd.errors import StartError
from gatewayd.policies.base import Policy


class Spans(Protocol):
    def around(self, policies: Iterable[Policy]) -> list[Middleware]:
        """The policies' middlewares with those of the spans among them."""


def open_spans(settings: Settings, stack: AsyncExitStack) -> Spans | None:
    """What makes the spans that the settings ask for; `stack` sends the last ones. Raises StartError."""
    if not settings.tracing.spans:
        return None
    try:
        spans = import_module("gatewayd.spans")
    except ImportError:
        raise StartError("tracing.spans: OpenTelemetry is not installed: pip install 'gatewayd[otel]'") from None
    return cast("Spans", spans.exported(stack))
