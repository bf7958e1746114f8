"""The letters that were processed, page after page."""

from collections.abc import AsyncIterator, Awaitable, Callable

from gatewayd_sdk._core.calls import following
from gatewayd_sdk._core.limits import RateLimit
from gatewayd_sdk._core.records import Usage
from gatewayd_sdk._core.results import EmailPage, EmailSummary


class AsyncEmailHistory:
    """Iterating gives the letters, newest first, from the start each time, and asks for the next page when needed.

    `request_id`, `usage` and `rate_limit` are those of the page asked for last, None before the first.
    """

    def __init__(self, fetch: Callable[[str | None], Awaitable[EmailPage]]) -> None:
        self._fetch = fetch
        self._last: EmailPage | None = None

    async def pages(self) -> AsyncIterator[EmailPage]:
        """The same, by pages."""
        cursor: str | None = None
        while True:
            self._last = page = await self._fetch(cursor)
            yield page
            if (cursor := following(page, cursor)) is None:
                return

    async def __aiter__(self) -> AsyncIterator[EmailSummary]:
        async for page in self.pages():
            for item in page.items:
                yield item

    @property
    def request_id(self) -> str | None:
        return None if self._last is None else self._last.request_id

    @property
    def usage(self) -> Usage | None:
        return None if self._last is None else self._last.usage

    @property
    def rate_limit(self) -> RateLimit | None:
        return None if self._last is None else self._last.rate_limit
