"""The configuration as typed, frozen values: what `schema` makes of a file and everything else reads.

Durations are seconds (0 means none, where a key allows it), sizes are bytes. Defaults live in `schema`, with
the key's sentence; here is only what a reader of the program needs.
"""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal

from gatewayd.model import Durability, Plan, Rate

Network = IPv4Network | IPv6Network
Charged = int | Literal["cost"]


class Secret:
    """A value that never shows itself: not in a log, an error or a repr. Equality compares the value."""

    __slots__ = ("_value", "source")

    def __init__(self, value: str, source: str) -> None:
        self._value = value
        self.source = source

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return f"Secret(from {self.source})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen: `tcp` (host, port), `unix` (path) or `systemd` (the name of a passed socket)."""

    kind: Literal["tcp", "unix", "systemd"]
    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.kind == "tcp":
            return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        return f"{self.kind}:{self.path}"


@dataclass(frozen=True, slots=True)
class Tls:
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """`workers` 0 is "auto"."""

    listen: tuple[Address, ...]
    workers: int
    state_dir: Path
    drain_timeout: float
    drain_delay: float
    trusted_proxies: tuple[Network, ...]
    max_header_bytes: int
    max_body: int
    max_connections: int
    max_in_flight: int
    header_timeout: float
    body_timeout: float
    tls: Tls | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminSettings:
    """`tokens` are by the name of who has them."""

    listen: Address
    token: Secret | None
    tokens: dict[str, Secret]


@dataclass(frozen=True, slots=True, kw_only=True)
class JwksSettings:
    """How a provider's keys are fetched. `stale` 0: they are used however old they are; `ca` None: the system's."""

    refresh: float
    cooldown: float
    stale: float
    timeout: float
    ca: Path | None


@dataclass(frozen=True, slots=True)
class Provider:
    """Where an identity provider publishes its keys: at `jwks_url`, or where `issuer` says that they are."""

    jwks_url: str | None
    issuer: str | None
    jwks: JwksSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerSettings:
    """Whose tokens are taken. `secret` verifies HS*, `public_key` (PEM) or the provider's keys the others.

    `schema` refuses algorithms without their key.
    """

    algorithms: tuple[str, ...]
    secret: Secret | None
    older_secrets: dict[str, Secret]
    public_key: Secret | None
    jwks_url: str | None
    jwks: JwksSettings
    issuer: str | None
    audience: str | None
    leeway: float
    user_claim: str
    user_prefix: str
    plan_claim: str
    role_claim: str
    scope_claim: str
    tenant_claim: str | None
    require: tuple[str, ...]
    refuse_types: tuple[str, ...]

    @property
    def provider(self) -> Provider | None:
        """Where its keys are published; None if all that verify its tokens are in the configuration."""
        if all(name.startswith("HS") for name in self.algorithms):
            return None
        if self.jwks_url is not None:
            return Provider(self.jwks_url, None, self.jwks)
        if self.public_key is None and self.issuer is not None and self.issuer.startswith(("https://", "http://")):
            return Provider(None, self.issuer, self.jwks)
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthSettings(IssuerSettings):
    """An issuer without a name, and those with one, which take the tokens that name them in `iss`."""

    share_keys: bool
    issuers: dict[str, IssuerSettings]

    @property
    def takes_unnamed(self) -> bool:
        """Whether there are keys for tokens of no named issuer."""
        return bool(self.secret or self.public_key or self.provider)


@dataclass(frozen=True, slots=True, kw_only=True)
class CountersSettings:
    url: Secret
    on_outage: Literal["local", "allow", "deny"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSettings:
    url: Secret
    durability: Durability
    on_outage: Literal["journal", "deny"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessLogSettings:
    """`file` "-" is standard output, "journald:" the journal; an empty one writes no log. Errors are never left out.

    One in `sample` of the requests that went well has a line.
    """

    file: str
    sample: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLogSettings:
    """`file` as for the access log."""

    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TracingSettings:
    """`server_timing` are roles, any of which is enough."""

    spans: bool
    server_timing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitSettings:
    limits: tuple[Rate, ...]
    unauthenticated: tuple[Rate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a call costs: `cost` units of `unit`; with `max`, that many are held for an agent's own figure."""

    unit: str
    cost: int
    max: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What is charged when a call fails or its caller leaves: a number of units, or the call's "cost"."""

    failed: Charged
    client_closed: Charged


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    connect: float
    first_byte: float
    idle: float
    total: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentTls:
    """How an agent is known, and what it is shown. `ca` None: the system's; `certificate` comes with `key`."""

    ca: Path | None
    certificate: Path | None
    key: Path | None
    server_name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSettings:
    """`upstream` is a list of base URLs; `max_body` None takes the server's; `service_token` 0 makes none."""

    name: str
    prefix: str
    upstream: tuple[str, ...]
    tls: AgentTls | None
    methods: tuple[str, ...]
    usage: Usage
    charge: Charge
    timeouts: Timeouts
    max_body: int | None
    max_in_flight: int
    rate_limit: tuple[Rate, ...]
    public: bool
    roles: tuple[str, ...]
    scopes: tuple[str, ...]
    forward_authorization: bool
    service_token: float
    drain: Literal["finish", "close"]
    upgrades: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    server: ServerSettings
    admin: AdminSettings
    auth: AuthSettings
    counters: CountersSettings
    ledger: LedgerSettings
    access_log: AccessLogSettings
    audit_log: AuditLogSettings
    tracing: TracingSettings
    rate_limit: RateLimitSettings
    plans: dict[str, Plan]
    routes: dict[str, RouteSettings]

    @property
    def default_plan(self) -> Plan | None:
        """The plan of users that name none."""
        return next((plan for plan in self.plans.values() if plan.default), None)

    def plan_for(self, name: str | None) -> Plan | None:
        """The plan that was named, or the default one if none was; None if there is no such plan."""
        return self.plans.get(name) if name else self.default_plan
