"""Connections that cannot hang: each call has its own deadline, and whatever goes wrong costs the connection.

aiopg by itself wakes nobody when a connection dies in use, tells a cancelled statement as the caller's own
cancellation, and leaves a transaction open. So a connection comes back from a call whole, or not at all.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

import aiopg
import psycopg2
from psycopg2.extensions import make_dsn

from gatewayd.errors import StoreUnavailable
from gatewayd.stores.postgres.address import Address, reason

logger = logging.getLogger(__name__)

CALL_SECONDS: Final = 2.5
"""For one call as a whole: waiting for its turn, connecting, every statement. Connecting never gets more than this."""

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

PLAIN: Final = {"enable_json": False, "enable_hstore": False, "enable_uuid": False}

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
        left = _leaving()
        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._on_connection(work)
        except TimeoutError as error:
            late = error if error.args else TimeoutError(f"no answer within {self._seconds:g} s")
            raise self._unavailable(late) from late
        except (psycopg2.Error, OSError) as error:  # OSError: the host's name was not found
            if left():
                raise asyncio.CancelledError from error
            raise self._unavailable(error) from error
        except asyncio.CancelledError as error:
            if left():
                raise
            # Nobody cancelled us: this is how aiopg tells that the server cancelled the statement.
            raise self._unavailable(TimeoutError("the server cancelled the statement")) from error
        if left():  # and Python 3.11's wait_for, inside aiopg, has lost that
            raise asyncio.CancelledError
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
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await self._connect()
        except TimeoutError:
            raise TimeoutError(f"no connection within {CALL_SECONDS:g} s") from None

    async def _connect(self) -> aiopg.Connection:
        """To the first of its places that takes us; aiopg alone does not notice when libpq goes on to the next one."""
        *others, last = await _places(self._server.address.parameters)
        for place in others:
            with suppress(psycopg2.OperationalError):
                return await self._connect_to(place)
        return await self._connect_to(last)

    async def _connect_to(self, place: Mapping[str, str]) -> aiopg.Connection:
        connection = aiopg.Connection(make_dsn(**place), 2 * self._seconds, **PLAIN)
        descriptor = connection.raw.fileno()
        try:
            await connection
            await Session(connection).rows(SESSION)
        except BaseException:
            connection.close()
            # libpq closes what it could not connect, and uvloop would not watch another of the same number then.
            with suppress(OSError, RuntimeError):
                asyncio.get_running_loop().remove_reader(descriptor)
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


def _leaving() -> Callable[[], bool]:
    """Tells whether the caller was cancelled since now, whatever became of that on the way."""
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    return lambda: task is not None and task.cancelling() > before


async def _places(parameters: Mapping[str, str]) -> Sequence[Mapping[str, str]]:
    """Every address of every host, each as the parameters to connect there. Raises OSError for a name unknown to all.

    Found in a thread: the driver would stop the event loop for as long as DNS takes.
    """
    if "hostaddr" in parameters or not parameters.get("host"):
        return [parameters]
    hosts = parameters["host"].split(",")
    ports = parameters.get("port", "").split(",")
    places: list[Mapping[str, str]] = []
    unknown: OSError | None = None
    for host, port in zip(hosts, ports * len(hosts) if len(ports) == 1 else ports, strict=False):
        place = {**parameters, "host": host, "port": port}
        try:
            places += [{**place, "hostaddr": address} if address else place for address in await _addresses(host)]
        except OSError as error:
            unknown = error
    if not places:
        raise unknown or OSError("no host is named")
    return places


async def _addresses(host: str) -> Sequence[str]:
    """An empty one for what is no name: a socket's directory, or the driver's default."""
    if not host or host.startswith(("/", "@")):
        return [""]
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[4][0]) for place in found))
