"""One frozen configuration in force, with what was built from it. A reload makes a new one and swaps it in."""

from dataclasses import dataclass, field
from typing import Protocol

from gatewayd.build import stays_python
from gatewayd.config.settings import Network, Settings
from gatewayd.identity.base import Verifier
from gatewayd.model import Identity, Plan
from gatewayd.routing import RouteTable
from gatewayd.stores.base import Counters, Ledger


class Decisions(Protocol):
    """What operators decided about users, from memory."""

    @property
    def loaded(self) -> bool:
        """Whether the ledger has said it; until then what the daemon knew before holds, if it kept that."""

    def plan_of(self, user: str) -> str | None:
        """The plan of this user's account; None if there is no account."""

    def refuses(self, identity: Identity) -> bool:
        """Whether the token behind this identity was revoked."""


@stays_python
@dataclass(frozen=True, slots=True, weakref_slot=True)
class Stores:
    """What outlives a generation whose store settings did not change. Gone with the last generation that has it."""

    counters: Counters
    ledger: Ledger
    accounts: Decisions


@dataclass(frozen=True, slots=True, eq=False)
class Generation:
    """What a request is judged by, from its first byte to its last."""

    number: int
    settings: Settings
    routes: RouteTable
    verifier: Verifier
    stores: Stores
    default_plan: Plan | None = field(init=False)
    # What `stores` has and the settings say, at hand: these are not the compiler's.
    sample: int = field(init=False)
    trusted_proxies: tuple[Network, ...] = field(init=False)
    max_header_bytes: int = field(init=False)
    max_in_flight: int = field(init=False)
    server_timing: tuple[str, ...] = field(init=False)
    counters: Counters = field(init=False)
    ledger: Ledger = field(init=False)
    accounts: Decisions = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "default_plan", self.settings.default_plan)
        object.__setattr__(self, "sample", self.settings.access_log.sample)
        server = self.settings.server
        object.__setattr__(self, "trusted_proxies", server.trusted_proxies)
        object.__setattr__(self, "max_header_bytes", server.max_header_bytes)
        object.__setattr__(self, "max_in_flight", server.max_in_flight)
        object.__setattr__(self, "server_timing", self.settings.tracing.server_timing)
        object.__setattr__(self, "counters", self.stores.counters)
        object.__setattr__(self, "ledger", self.stores.ledger)
        object.__setattr__(self, "accounts", self.stores.accounts)

    def plan_for(self, user: str, claimed: str | None) -> Plan | None:
        """The account's plan, else the claimed one, else the default; None if there is none by that name."""
        if name := self.accounts.plan_of(user) or claimed:
            return self.settings.plan_for(name)
        return self.default_plan
