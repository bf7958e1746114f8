"""A store is chosen by the scheme of its address. A new store is one file and one line in a table here."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Final, Protocol, TypeVar

from gatewayd.clock import Clock
from gatewayd.errors import StoreError
from gatewayd.model import Durability
from gatewayd.stores.base import Accounts, Counters, Ledger
from gatewayd.stores.memory import MemoryCounters
from gatewayd.stores.reading import LedgerReader
from gatewayd.stores.sqlite import ledger as sqlite_ledger
from gatewayd.stores.sqlite import reader as sqlite_reader

Opener = TypeVar("Opener")


class LedgerStore(Ledger, Accounts, Protocol):
    """A ledger and the accounts in the same place."""

    @property
    def pending(self) -> int:
        """What was submitted and is not committed yet."""


def _memory(rest: str, clock: Clock) -> Counters:
    if rest:
        raise StoreError("counters.url: memory: takes nothing after the colon")
    return MemoryCounters(clock)


COUNTERS: Final[Mapping[str, Callable[[str, Clock], Counters]]] = {"memory": _memory}
LEDGERS: Final[Mapping[str, Callable[[str, Durability, Clock], LedgerStore]]] = {"sqlite": sqlite_ledger.open_ledger}
READERS: Final[Mapping[str, Callable[[str], AbstractContextManager[LedgerReader]]]] = {
    "sqlite": sqlite_reader.open_reader
}

NOT_YET: Final = frozenset({"redis", "rediss", "unix", "postgresql"})


def open_counters(url: str, clock: Clock) -> Counters:
    """The counters at this address. Raises StoreError."""
    opener, rest = _choose("counters.url", url, COUNTERS)
    return opener(rest, clock)


def open_ledger(url: str, durability: Durability, clock: Clock) -> LedgerStore:
    """The ledger at this address, ready for holds; blocks until it is. Raises StoreError."""
    opener, rest = _choose("ledger.url", url, LEDGERS)
    return opener(rest, durability, clock)


def open_reader(url: str) -> AbstractContextManager[LedgerReader]:
    """The ledger at this address to read from, for the length of a `with`. Raises StoreError."""
    opener, rest = _choose("ledger.url", url, READERS)
    return opener(rest)


def judge_addresses(counters: str, ledger: str) -> dict[str, str]:
    """What is wrong with the stores' addresses, by their configuration key; opens nothing."""
    faults = {}
    for key, url, table in (("counters.url", counters, COUNTERS), ("ledger.url", ledger, LEDGERS)):
        try:
            _choose(key, url, table)
        except StoreError as error:
            faults[key] = str(error).removeprefix(f"{key}: ")
    return faults


def _choose(key: str, url: str, table: Mapping[str, Opener]) -> tuple[Opener, str]:
    """Never quotes what follows the scheme, which may hold a password."""
    scheme, colon, rest = url.partition(":")
    if colon and scheme in table:
        return table[scheme], rest
    if colon and scheme in NOT_YET:
        raise StoreError(f"{key}: {scheme}: is not built into this version yet: use {_names(table)}")
    found = f"{scheme}: is not a kind of store: " if rest.startswith("//") else ""
    raise StoreError(f"{key}: {found}an address begins with {_names(table)}")


def _names(table: Mapping[str, object]) -> str:
    return " or ".join(f"{scheme}:" for scheme in table)
