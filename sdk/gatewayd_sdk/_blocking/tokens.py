"""The token in use, made anew when the gateway refuses it, by one thread for all."""

import os
import threading
from collections.abc import Callable

from gatewayd_sdk._core.options import check_token
from gatewayd_sdk._core.setup import token_failure


class Tokens:
    """Mutable: it keeps the token. Any thread may ask; a forked child does not wait for the parent's threads."""

    def __init__(self, make: Callable[[], str]) -> None:
        self._make = make
        self._known: str | None = None
        self._lock = threading.Lock()
        self._process = os.getpid()

    def get(self, refused: str | None) -> str:
        """The token there is, or a new one if there is none or it is the `refused` one."""
        if self._process != os.getpid():
            self._lock, self._process = threading.Lock(), os.getpid()
        with self._lock:
            if self._known is None or self._known == refused:
                self._known = None
                self._known = self._made()
            return self._known

    def _made(self) -> str:
        try:
            return check_token(self._make())
        except Exception as error:
            raise token_failure(error) from error
