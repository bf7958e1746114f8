"""One connection to the server: questions go out together, answers come back in order, and slow is gone."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from redis.asyncio.connection import AbstractConnection, Connection, ConnectionPool, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError

from gatewayd.errors import StoreError
from gatewayd.stores.redis.script import Script

PATIENCE: Final = 0.04
SECOND_LOOK: Final = 0.01

Command = tuple[str, ...]
Connect = Callable[[], AbstractConnection]
Settings = dict[str, Any]


class Away(Exception):
    """The server does not answer, or not with what was asked for; the message is for the log."""


def dial(url: str) -> Connect:
    """How to reach the server at this address; connects nothing. Raises StoreError, which never quotes the address."""
    try:
        settings = _settings(url)
    except ValueError:
        raise StoreError(
            "counters.url: not an address of Redis: use redis://host:6379/0, rediss://host:6379/0 or unix:/path"
        ) from None
    kind: type[AbstractConnection] = settings.pop("connection_class", Connection)
    try:
        kind(**settings)
    except (TypeError, ValueError, RedisError):
        raise StoreError("counters.url: an option after the ? is not one that Redis connections know") from None
    return lambda: kind(**settings)


def connections(url: str, *, most: int = 2, patience: float = 0.5) -> ConnectionPool:
    """For libraries that make their own calls: each has `patience` seconds. Connects nothing. Raises StoreError."""
    dial(url)
    bounded = {"socket_timeout": patience, "socket_connect_timeout": patience, "max_connections": most}
    return ConnectionPool(**(_settings(url) | bounded))


def _settings(url: str) -> Settings:
    scheme, _, rest = url.partition(":")
    if scheme == "unix" and not rest.startswith("//"):
        url = f"unix://{rest}"
    parts = urlsplit(url)
    place = parts.path.strip("/")
    if scheme == "unix" and not place:
        raise ValueError
    if scheme != "unix" and (not parts.hostname or (place and not place.isdecimal())):
        raise ValueError
    return dict(parse_url(url)) | {
        "socket_timeout": None,
        "socket_connect_timeout": None,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "driver_info": None,
    }


class Line:
    """An open connection that one task uses. Whatever goes wrong in it ends it, so no answer meets a later question."""

    def __init__(
        self, connection: AbstractConnection, scripts: Sequence[Script], *, patience: float = PATIENCE
    ) -> None:
        self._connection = connection
        self._patience = patience
        self._scripts = scripts

    async def open(self) -> None:
        """Raises Away."""
        await self._in_time(self._connection.connect())  # type: ignore[no-untyped-call]

    async def ask(self, commands: Sequence[Command]) -> list[Any]:
        """The answers, in order; scripts that the server lost are given to it again. Raises Away."""
        answers: list[Any] = await self._in_time(self._converse(commands))
        return answers

    async def close(self) -> None:
        await self._connection.disconnect(nowait=True)

    async def _converse(self, commands: Sequence[Command]) -> list[Any]:
        answers = await self._exchange(commands)
        lost = [place for place, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if lost:
            await self._exchange([("SCRIPT", "LOAD", script.text) for script in self._scripts])
            again = await self._exchange([commands[place] for place in lost])
            for place, answer in zip(lost, again, strict=True):
                answers[place] = answer
        for answer in answers:
            if isinstance(answer, ResponseError):
                raise answer
        return answers

    async def _exchange(self, commands: Sequence[Command]) -> list[Any]:
        connection = self._connection
        await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
        return [await self._answer() for _ in commands]

    async def _answer(self) -> Any:
        try:
            return await self._connection.read_response()
        except ResponseError as error:
            return error

    async def _in_time(self, work: Any) -> Any:
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait([task], timeout=self._patience)
            if not task.done():
                # An answer may be waiting to be read while this process was busy with something else.
                await asyncio.wait([task], timeout=SECOND_LOOK)
            if not task.done():
                raise Away(f"no answer within {round((self._patience + SECOND_LOOK) * 1000)} ms")
            return task.result()
        except (RedisError, OSError) as error:
            raise Away(f"{type(error).__name__}: {error}"[:200]) from None
        finally:
            await _ended(task)


async def _ended(task: "asyncio.Future[Any]") -> None:
    if not task.done():
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled():
        task.exception()
