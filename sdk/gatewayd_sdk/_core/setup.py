"""What a client is made of, read from arguments and environment once; nothing is opened here."""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Generic, Self, TypeAlias, TypeVar
from urllib.parse import urlsplit

from gatewayd_sdk._core.errors import ConfigurationError, GatewayError
from gatewayd_sdk._core.exchange import Chance, Manner
from gatewayd_sdk._core.logs import set_up_log
from gatewayd_sdk._core.options import Options, Timeout, base_url, check_token
from gatewayd_sdk._core.pacing import Pacer
from gatewayd_sdk._core.proxies import Proxy, proxy_for

R = TypeVar("R")
TLS: TypeAlias = ssl.SSLContext | str | os.PathLike[str] | None


@dataclass(frozen=True, slots=True)
class Address:
    """The gateway and the way to it."""

    base_url: str
    proxy: Proxy | None
    tls: ssl.SSLContext | None
    connections: int

    @property
    def secure(self) -> bool:
        return self.base_url.startswith("https:")

    @property
    def host(self) -> str:
        """As the Host field says it."""
        return urlsplit(self.base_url).netloc

    @property
    def path(self) -> str:
        """What the base URL has before each target, often nothing."""
        return urlsplit(self.base_url).path


@dataclass(frozen=True, slots=True)
class Setup(Generic[R]):
    """How calls are made; `refresh` is what makes tokens, if they are made."""

    manner: Manner
    refresh: R | None

    def altered(
        self,
        timeout: Timeout | float | None,
        max_retries: int | None,
        headers: Mapping[str, str] | None,
    ) -> Self:
        options = self.manner.options
        changed = replace(
            options,
            timeout=options.timeout if timeout is None else Timeout.of(timeout),
            max_retries=options.max_retries if max_retries is None else max_retries,
            headers={**options.headers, **(headers or {})},
        )
        return replace(self, manner=replace(self.manner, options=changed))

    def signed(self, token: str | R) -> Self:
        """The same with another token, or another way to make them."""
        if isinstance(token, str) or not callable(token):
            return replace(self, refresh=None, manner=replace(self.manner, token=check_token(token), asks=False))
        return replace(self, refresh=token, manner=replace(self.manner, token=None, asks=True))


def read_address(url: str | None, proxy: str | None, tls: TLS, connections: int) -> Address:
    """Raises ConfigurationError."""
    if connections < 1:
        raise ConfigurationError("max_connections must be 1 or more")
    gateway = base_url(url, os.environ)
    return Address(gateway, proxy_for(gateway, proxy), _context(tls, gateway), connections)


def read_setup(
    token: str | R | None,
    timeout: Timeout | float | None,
    max_retries: int,
    headers: Mapping[str, str] | None,
    pacer: Pacer | None,
    chance: Chance | None,
) -> Setup[R]:
    """Raises ConfigurationError."""
    set_up_log(os.environ)
    options = Options(Timeout() if timeout is None else Timeout.of(timeout), max_retries, headers or {})
    setup: Setup[R] = Setup(Manner(options, pacer=pacer, chance=chance or Chance()), None)
    chosen = token if token is not None else os.environ.get("GATEWAYD_TOKEN") or None
    return setup if chosen is None else setup.signed(chosen)


def _context(tls: TLS, url: str) -> ssl.SSLContext | None:
    if tls is None:
        return ssl.create_default_context() if url.startswith("https:") else None
    if isinstance(tls, ssl.SSLContext):
        return tls
    try:
        return ssl.create_default_context(cafile=tls)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"tls= must name a PEM file of certificates: {tls} is none ({error})") from error


def token_failure(error: Exception) -> GatewayError:
    """What a call raises when the callable does: its own error is the cause."""
    if isinstance(error, GatewayError):
        return error
    return ConfigurationError(f"the callable given as token= raised {type(error).__name__}; nothing was sent")
