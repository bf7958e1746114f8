"""A store is chosen by the scheme of its address. A new store is one room and one line in a table here."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from gatewayd.clock import Clock
from gatewayd.errors import StoreError
from gatewayd.model import Durability
from gatewayd.stores.base import Counters, LedgerStore
from gatewayd.stores.postgres import clerk as postgres_clerk
from gatewayd.stores.postgres import reader as postgres_reader
from gatewayd.stores.postgres import store as postgres_store
from gatewayd.stores.postgres import usage as postgres_usage
from gatewayd.stores.reading import Clerk, LedgerReader, UsageReader
from gatewayd.stores.redis import counters as redis_counters
from gatewayd.stores.shared.counters import SharedCounters
from gatewayd.stores.shared.memory import SharedMemory
from gatewayd.stores.shared.notes import SharedNotes
from gatewayd.stores.sqlite import clerk as sqlite_clerk
from gatewayd.stores.sqlite import reader as sqlite_reader
from gatewayd.stores.sqlite import store as sqlite_store
from gatewayd.stores.sqlite import usage as sqlite_usage

Opener = TypeVar("Opener")
OnOutage = Literal["local", "allow", "deny"]


@dataclass(frozen=True, slots=True)
class Counting:
    """What counters are made of, besides their address: `memory` is shared by all workers of the `daemon`."""

    memory: SharedMemory
    clock: Clock
    daemon: str = ""
    workers: int = 1
    on_outage: OnOutage = "local"


def _memory(url: str, counting: Counting) -> Counters:
    if url != "memory:":
        raise StoreError("counters.url: memory: takes nothing after the colon")
    return SharedCounters(counting.memory, counting.clock)


def _redis(url: str, counting: Counting) -> Counters:
    return redis_counters.open_counters(
        url,
        on_outage=counting.on_outage,
        local=SharedCounters(counting.memory, counting.clock),
        notes=SharedNotes(counting.memory, url),
        clock=counting.clock,
        daemon=counting.daemon,
        workers=counting.workers,
    )


COUNTERS: Final[Mapping[str, Callable[[str, Counting], Counters]]] = {
    "memory": _memory,
    "redis": _redis,
    "rediss": _redis,
    "unix": _redis,
}
LEDGERS: Final[Mapping[str, Callable[[str, Durability, Clock], Awaitable[LedgerStore]]]] = {
    "sqlite": sqlite_store.open_store,
    "postgresql": postgres_store.open_store,
}
READERS: Final[Mapping[str, Callable[[str], AbstractContextManager[LedgerReader]]]] = {
    "sqlite": sqlite_reader.open_reader,
    "postgresql": postgres_reader.open_reader,
}
USAGES: Final[Mapping[str, Callable[[str], AbstractContextManager[UsageReader]]]] = {
    "sqlite": sqlite_usage.open_usage,
    "postgresql": postgres_usage.open_usage,
}
CLERKS: Final[Mapping[str, Callable[[str], AbstractContextManager[Clerk]]]] = {
    "sqlite": sqlite_clerk.open_clerk,
    "postgresql": postgres_clerk.open_clerk,
}


async def reach_counters(url: str) -> None:
    """Ask who is behind this address whether it counts. Raises StoreError if nobody answers."""
    if _choose("counters.url", url, COUNTERS) is _redis:
        await redis_counters.reach(url)


def open_counters(url: str, counting: Counting) -> Counters:
    """The counters at this address. Raises StoreError."""
    return _choose("counters.url", url, COUNTERS)(url, counting)


async def open_store(url: str, durability: Durability, clock: Clock) -> LedgerStore:
    """The ledger at this address, made or brought up to date.

    Raises StoreError for what an operator must mend, StoreUnavailable for a database that is away for now.
    """
    return await _choose("ledger.url", url, LEDGERS)(_rest(url), durability, clock)


def open_reader(url: str) -> AbstractContextManager[LedgerReader]:
    """The ledger at this address to read from, for the length of a `with`. Raises StoreError."""
    return _choose("ledger.url", url, READERS)(_rest(url))


def open_usage(url: str) -> AbstractContextManager[UsageReader]:
    """The ledger at this address for the usage page, for the length of a `with`. Raises StoreError."""
    return _choose("ledger.url", url, USAGES)(_rest(url))


def open_clerk(url: str) -> AbstractContextManager[Clerk]:
    """The ledger at this address to write decisions into, for the length of a `with`. Raises StoreError."""
    return _choose("ledger.url", url, CLERKS)(_rest(url))


def judge_addresses(counters: str, ledger: str) -> dict[str, str]:
    """What is wrong with the stores' addresses, by their configuration key; opens nothing."""
    faults = {}
    judged: tuple[tuple[str, str, Mapping[str, object]], ...] = (
        ("counters.url", counters, COUNTERS),
        ("ledger.url", ledger, LEDGERS),
    )
    for key, url, table in judged:
        try:
            _choose(key, url, table)
        except StoreError as error:
            faults[key] = str(error).removeprefix(f"{key}: ")
    return faults


def _rest(url: str) -> str:
    return url.partition(":")[2]


def _choose(key: str, url: str, table: Mapping[str, Opener]) -> Opener:
    """Never quotes what follows the scheme, which may hold a password."""
    scheme, colon, rest = url.partition(":")
    if colon and scheme in table:
        return table[scheme]
    found = f"{scheme}: is not a kind of store: " if rest.startswith("//") else ""
    raise StoreError(f"{key}: {found}an address begins with {_names(table)}")


def _names(table: Mapping[str, object]) -> str:
    schemes = [f"{scheme}:" for scheme in table]
    return f"{', '.join(schemes[:-1])} or {schemes[-1]}"
