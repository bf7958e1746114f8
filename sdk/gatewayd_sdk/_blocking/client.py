"""`Gateway`: the agents behind a gatewayd."""

import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import replace
from time import sleep as pause
from types import TracebackType
from typing import Self, TypeVar, cast

from gatewayd_sdk._blocking import resources
from gatewayd_sdk._blocking.transport import Urllib3Transport
from gatewayd_sdk._core import calls, results
from gatewayd_sdk._core.answers import Answer
from gatewayd_sdk._core.calls import Call
from gatewayd_sdk._core.errors import APIConnectionError
from gatewayd_sdk._core.exchange import AskToken, Chance, Fetch, Step, Wait, exchange
from gatewayd_sdk._core.options import Options, Timeout
from gatewayd_sdk._core.options import base_url as read_base_url
from gatewayd_sdk._core.requests import Request, json_request

T = TypeVar("T")
Token = str | Callable[[], str] | None


class Gateway:
    """The agents behind a gatewayd. Use it as a context manager, or close it.

    `base_url` and `token` are taken from GATEWAYD_BASE_URL and GATEWAYD_TOKEN when they are not given. A callable as
    token is asked when there is none yet, and once more when the gateway refuses the one there is. `tls` is for a CA
    of your own, `proxy` the URL of an HTTP proxy. Each method raises `GatewayError`s only (see `gatewayd_sdk`).
    """

    def __init__(
        self,
        base_url: str | None = None,
        token: Token = None,
        *,
        timeout: Timeout | None = None,
        max_retries: int = 2,
        headers: Mapping[str, str] | None = None,
        proxy: str | None = None,
        tls: ssl.SSLContext | None = None,
        max_connections: int = 100,
        chance: Chance | None = None,
    ) -> None:
        self.base_url = read_base_url(base_url, os.environ)
        self._options = Options(timeout or Timeout(), max_retries, headers=headers or {})
        self._token = token if token is not None else os.environ.get("GATEWAYD_TOKEN") or None
        self._known_token: str | None = None
        self._chance = chance or Chance()
        self._transport = Urllib3Transport(self.base_url, proxy=proxy, tls=tls, connections=max_connections)

    @property
    def email(self) -> resources.Email:
        """Letters: read, answered, remembered."""
        return resources.Email(self)

    @property
    def rag(self) -> resources.Rag:
        """Questions to documents."""
        return resources.Rag(self)

    @property
    def scraper(self) -> resources.Scraper:
        """Pages read."""
        return resources.Scraper(self)

    @property
    def support(self) -> resources.Support:
        """Customers answered, and their tickets."""
        return resources.Support(self)

    @property
    def aiops(self) -> resources.AIOps:
        """Metrics read."""
        return resources.AIOps(self)

    @property
    def usage(self) -> resources.Usage:
        """The caller's own balances."""
        return resources.Usage(self)

    @property
    def agents(self) -> resources.Agents:
        """What is behind the gateway."""
        return resources.Agents(self)

    def with_options(
        self,
        *,
        timeout: Timeout | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Self:
        """A client with other options over the same connections; `headers` are added to those there are."""
        options = replace(
            self._options,
            timeout=timeout or self._options.timeout,
            max_retries=self._options.max_retries if max_retries is None else max_retries,
            headers={**self._options.headers, **(headers or {})},
        )
        other = type(self).__new__(type(self))
        vars(other).update(vars(self), _options=options)
        return other

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Mapping[str, object] | None = None,
        content: bytes | None = None,
        query: Mapping[str, str | int | None] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> results.Response:
        """Calls any route: `json` or `content` is the body. Raises like every method."""
        request = Request(method, path, query or {}, headers or {}, content)
        if json is not None:
            said = json_request(method, path, json)
            request = replace(said, query=query or {}, headers={**said.headers, **(headers or {})})
        return self.call(calls.any_route(request))

    def call(self, call: Call[T]) -> T:
        """Carries out a call that a resource describes."""
        steps = exchange(call.request, self._options, refreshable=callable(self._token), chance=self._chance)
        try:
            step = next(steps)
            while True:
                try:
                    came = self._perform(step)
                except APIConnectionError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(came)
        except StopIteration as stop:
            return call.read(cast("Answer", stop.value))

    def _perform(self, step: Step) -> object:
        if isinstance(step, Fetch):
            return self._transport.fetch(step)
        if isinstance(step, Wait):
            pause(step.seconds)
            return None
        return self._current_token(step)

    def _current_token(self, step: AskToken) -> str | None:
        if not callable(self._token):
            return self._token
        if self._known_token is None or step.fresh:
            self._known_token = self._token()
        return self._known_token

    def close(self) -> None:
        """Closes all connections, also for the clients that `with_options` made."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
