"""A WebSocket over aiohttp's."""

import asyncio
import contextlib
from typing import Final

import aiohttp
from aiohttp import ClientWebSocketResponse, WSMsgType

from gatewayd_sdk._core.errors import APIConnectionError, APITimeoutError, ConfigurationError
from gatewayd_sdk._core.setup import Address
from gatewayd_sdk._core.support import ended
from gatewayd_sdk._core.websocket import Closed

GOODBYE: Final = 2.0
"""Seconds that the other side has to answer a Close frame."""


class WebSocket:
    """Mutable. A session without a sign of life for the idle timeout, pings included, is given up."""

    def __init__(self, address: Address, socket: ClientWebSocketResponse, idle: float) -> None:
        self._address = address
        self._socket = socket
        self._idle = idle
        self._over: Closed | None = None

    async def send(self, text: str) -> None:
        """Raises APIConnectionError if the session is over."""
        if self._over is not None or self._socket.closed:
            raise ended(self._over or Closed(self._socket.close_code or 1000, "closed here"))
        try:
            await self._socket.send_str(text)
        except (aiohttp.ClientError, OSError, RuntimeError) as error:
            raise await self._broken(error) from error

    async def receive(self, timeout: float | None) -> str | bytes | Closed:
        """The next message, Closed once there is none.

        Raises APITimeoutError when none came in `timeout` seconds, and APIConnectionError when the session broke off.
        """
        if self._over is not None:
            return self._over
        given = asyncio.timeout(timeout)
        try:
            async with given:
                message = await self._socket.receive()
        except TimeoutError:
            raise await self._silent(given.expired()) from None
        except RuntimeError as error:  # as aiohttp says it
            raise ConfigurationError("two tasks receive from one session at once") from error
        except (aiohttp.ClientError, OSError) as error:
            raise await self._broken(error) from error
        if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
            data: str | bytes = message.data
            return data
        if message.type is WSMsgType.CLOSE:
            return await self._end(Closed(message.data or 1005, message.extra or ""))
        if message.type is WSMsgType.ERROR:
            raise await self._broken(message.data)
        if message.type is WSMsgType.CLOSED:
            raise await self._broken("without a Close frame")
        return await self._end(Closed(1000, "closed here"))

    async def _silent(self, given: bool) -> APITimeoutError:
        if given:
            return APITimeoutError("no message in the time given; the session goes on")
        await self._end(Closed(1006, "silence"))
        return APITimeoutError(f"nothing was heard for {self._idle:g} s, no ping either: the session was given up")

    async def _broken(self, error: object) -> APIConnectionError:
        await self._end(Closed(1006, ""))
        return APIConnectionError(f"the session with {self._address.base_url} broke off: {error}")

    async def _end(self, closed: Closed, *, wait: bool = True) -> Closed:
        self._over = self._over or closed
        with contextlib.suppress(aiohttp.ClientError, OSError):
            async with asyncio.timeout(None if wait else 0):
                await self._socket.close()
        return self._over

    async def close(self, *, wait: bool = True) -> None:
        """Says goodbye, and waits a moment for the answer; never raises for a session that is over."""
        await self._end(Closed(1000, "closed here"), wait=wait)
