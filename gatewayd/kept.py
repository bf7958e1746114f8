"""What an application keeps under a key, at hand for who asks with each request."""

from typing import Any, Final, Generic, TypeVar

from aiohttp import web

R = TypeVar("R")


class Kept(Generic[R]):
    """Finds what `app[key]` is, at once for the application that was asked about last.

    aiohttp would answer with a function of Python's and a look into a dictionary. What an application keeps is set
    before it serves, and never after that. Mutable: it remembers the last application.
    """

    __slots__ = ("_app", "_found", "_key")

    def __init__(self, key: web.AppKey[R]) -> None:
        self._key: Final = key
        self._app: web.Application | None = None
        self._found: Any = None

    def of(self, app: web.Application) -> R:
        """Raises KeyError if it keeps nothing there."""
        if app is not self._app:
            self._found = app._state[self._key]  # noqa: SLF001
            self._app = app
        found: R = self._found
        return found
