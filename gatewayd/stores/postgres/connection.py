"""Connections that cannot hang: each call has its own deadline, and whatever goes wrong costs the connection.

aiopg by itself wakes nobody when a connection dies in use, tells a cancelled statement as the caller's own
cancellation, and leaves a transaction open. So a connection comes back from a call whole, or not at all.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import aiopg
import psycopg2
from psycopg2.extensions import make_dsn

from gatewayd.errors import StoreUnavailable
from gatewayd.stores.postgres.address import Address, reason

logger = logging.getLogger(__name__)

CALL_SECONDS: Final = 2.5
"""For one call as a whole: waiting for its turn, connecting, every statement."""

# The server's own limits end what a daemon left behind that was stopped or cut off: a statement, a wait for a lock,
# a transaction with locks in its hands. They are wider than the call's deadline, which is the one that daemons meet.
# What is acknowledged leaves the journal, so a crash of the server must not lose it, whatever its configuration says.
SESSION: Final = """
    SET statement_timeout = '4s';
    SET lock_timeout = '3s';
    SET idle_in_transaction_session_timeout = '5s';
    SET synchronous_commit = on;
    SET default_transaction_isolation = 'read committed';
"""

Answer = TypeVar("Answer")
Row = tuple[Any, ...]


class Session:
    """One connection, in one call's hands; every statement is its own transaction until one says BEGIN."""

    def __init__(self, connection: aiopg.Connection) -> None:
        self._connection = connection

    async def rows(self, statement: str, values: object = None) -> Sequence[Row]:
        """Run it, and tell the rows of its last part."""
        async with self._connection.cursor() as cursor:
            await cursor.execute(statement, values)
            return await cursor.fetchall() if cursor.description else []


class Server:
    """What is known of the server: it is told once that it is away, and once that it is back."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._away = False

    def answered(self) -> None:
        if self._away:
            self._away = False
            logger.warning("ledger %s answers again", self.address.name)

    def failed(self, error: BaseException) -> None:
        if not self._away:
            self._away = True
            logger.error("ledger %s cannot be used (%s)", self.address.name, reason(error))


class Lane:
    """At most `width` calls at once, each on a connection of its own; used from one event loop."""

    def __init__(self, server: Server, width: int, seconds: float = CALL_SECONDS) -> None:
        self._server = server
        self._turns = asyncio.Semaphore(width)
        self._seconds = seconds
        self._idle: list[aiopg.Connection] = []
        self._closed = False

    async def run(self, work: Callable[[Session], Awaitable[Answer]]) -> Answer:
        """Do the work on a connection, within the deadline. Raises StoreUnavailable, and what is the work's own."""
        task = asyncio.current_task()
        cancels = task.cancelling() if task is not None else 0
        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._on_connection(work)
        except TimeoutError:
            late = TimeoutError(f"no answer within {self._seconds:g} s")
            raise self._unavailable(late) from late
        except (psycopg2.Error, OSError) as error:  # OSError: the host's name was not found
            raise self._unavailable(error) from error
        except asyncio.CancelledError as error:
            if task is not None and task.cancelling() > cancels:
                raise
            # Nobody cancelled us: this is how aiopg tells that the server cancelled the statement.
            raise self._unavailable(TimeoutError("the server cancelled the statement")) from error
        self._server.answered()
        return answer

    async def _on_connection(self, work: Callable[[Session], Awaitable[Answer]]) -> Answer:
        async with self._turns:
            connection = await self._connection()
            try:
                answer = await work(Session(connection))
            except BaseException:
                connection.close()
                raise
            self._idle.append(connection)
            return answer

    async def _connection(self) -> aiopg.Connection:
        if self._closed:
            raise psycopg2.InterfaceError("the ledger is closed")
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
            connection.close()
        return await self._connect()

    async def _connect(self) -> aiopg.Connection:
        connection = await aiopg.connect(
            make_dsn(**await _resolved(self._server.address.parameters)),
            timeout=2 * self._seconds,
            enable_json=False,
            enable_hstore=False,
            enable_uuid=False,
        )
        try:
            await Session(connection).rows(SESSION)
        except BaseException:
            connection.close()
            raise
        return connection

    def _unavailable(self, error: BaseException) -> StoreUnavailable:
        """The other connections have most likely died of the same, and must not cost a call each."""
        self._drop_idle()
        self._server.failed(error)
        return StoreUnavailable()

    def _drop_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def close(self) -> None:
        self._closed = True
        self._drop_idle()


async def _resolved(parameters: Mapping[str, str]) -> Mapping[str, str]:
    """With the host's addresses, found in a thread: the driver would stop the event loop for as long as DNS takes."""
    host = parameters.get("host", "")
    if "hostaddr" in parameters or not host or "," in host or host.startswith(("/", "@")):
        return parameters
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    places = list(dict.fromkeys(str(place[4][0]) for place in found))
    return {**parameters, "host": ",".join([host] * len(places)), "hostaddr": ",".join(places)}
