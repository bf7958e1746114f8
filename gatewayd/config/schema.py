"""Every key of the configuration: name, default, kind and one sentence, a line each. Nothing else is accepted."""

from collections.abc import Iterator
from typing import Final

from gatewayd.config.addresses import (
    address,
    file_path,
    network,
    prefix,
    store_url,
    upstream,
    web_url,
)
from gatewayd.config.settings import (
    AccessLogSettings,
    AdminSettings,
    AgentTls,
    AuditLogSettings,
    AuthSettings,
    Charge,
    CountersSettings,
    IssuerSettings,
    JwksSettings,
    LedgerSettings,
    RateLimitSettings,
    RouteSettings,
    ServerSettings,
    Settings,
    Timeouts,
    Tls,
    TracingSettings,
    Usage,
)
from gatewayd.config.shape import ABSENT, REQUIRED, Key, ListOf, MapOf, Scalar, SecretFrom, Table
from gatewayd.config.values import (
    MOST_UNITS,
    boolean,
    choice,
    claim,
    duration,
    identifier,
    method,
    positive_duration,
    rate,
    scope,
    size,
    string,
    text_or_empty,
    whole,
    whole_or,
)
from gatewayd.keys import ALGORITHMS
from gatewayd.model import Plan

ADDRESS: Final = Scalar("address", address)
ALGORITHM: Final = Scalar("algorithm", choice(*ALGORITHMS))
BOOLEAN: Final = Scalar("boolean", boolean)
CHARGED: Final = Scalar('units or "cost"', whole_or("cost", "cost", whole(0, MOST_UNITS)))
CLAIM: Final = Scalar("claim", claim)
COUNT: Final = Scalar("number", whole(1, 10_000_000))
LIMIT: Final = Scalar("number", whole(0, 10_000_000))
COUNTERS_URL: Final = SecretFrom("URL", plain=True, check=store_url("memory:", "redis://", "rediss://", "unix:PATH"))
DRAINING: Final = Scalar("word", choice("finish", "close"))
DURATION: Final = Scalar("duration", duration)
FILE: Final = Scalar("path", file_path)
HEADER_SIZE: Final = Scalar("size", size(1024, 2**20))
LEDGER_URL: Final = SecretFrom("URL", plain=True, check=store_url("sqlite:PATH", "postgresql://"))
LOG: Final = Scalar("path", text_or_empty)
METHOD: Final = Scalar("method", method)
NETWORK: Final = Scalar("network", network)
POSITIVE: Final = Scalar("duration", positive_duration)
PREFIX: Final = Scalar("path", prefix)
PREFIX_OF_USERS: Final = Scalar("string", text_or_empty)
RATES: Final = ListOf(Scalar("rate", rate), identity=lambda rate: rate.period, twice="is a second rate of its period")
SAMPLE: Final = Scalar("number", whole(1, 1_000_000))
SCOPE: Final = Scalar("scope", scope)
SIZE: Final = Scalar("size", size(1))
STRING: Final = Scalar("string", string)
UNIT: Final = Scalar("unit", identifier)
UNITS: Final = Scalar("units", whole(0, MOST_UNITS))
UPGRADE: Final = Scalar("upgrade", choice("websocket"))
UPSTREAMS: Final = ListOf(Scalar("URL", upstream), 1, or_one=True)
WEB_URL: Final = Scalar("URL", web_url)
WORKERS: Final = Scalar('number or "auto"', whole_or("auto", 0, whole(1, 1024)))

STORE_OUTAGE: Final = Scalar("word", choice("local", "allow", "deny"))
LEDGER_OUTAGE: Final = Scalar("word", choice("journal", "deny"))
DURABILITY: Final = Scalar("word", choice("process", "disk"))

# fmt: off
TLS: Final = Table(Tls, (
    Key("certificate", REQUIRED, FILE, "PEM file with the certificate and its chain."),
    Key("key", REQUIRED, FILE, "PEM file with the private key, not encrypted."),
))

SERVER: Final = Table(ServerSettings, (
    Key("listen", ["127.0.0.1:8080"], ListOf(ADDRESS, 1), "host:port, [v6]:port, unix:/path or systemd:NAME."),
    Key("workers", 1, WORKERS, 'Worker processes; "auto" is one for each CPU.'),
    Key("state_dir", "var", FILE, "Directory of the journal, the SQLite file and the control socket."),
    Key("drain_timeout", "30s", DURATION, "How long requests in flight may take to end after SIGTERM."),
    Key("drain_delay", "0s", DURATION, "How long after SIGTERM requests are still taken; /ready is 503 already."),
    Key("trusted_proxies", [], ListOf(NETWORK), "Networks whose X-Forwarded-* and Forwarded are believed."),
    Key("max_header_bytes", "32KiB", HEADER_SIZE, "Largest head of a request; above it, 431."),
    Key("max_body", "1GiB", SIZE, "Largest body of a request, where its route names none; above it, 413."),
    Key("max_connections", 20000, COUNT, "Client connections open at once, over all workers."),
    Key("max_in_flight", 0, LIMIT, "Requests served at once, over all workers; above it, 503. 0 is no limit."),
    Key("header_timeout", "10s", POSITIVE, "A request's head must be complete in this time."),
    Key("body_timeout", "10s", POSITIVE, "Longest silence of a client within a request's body; then 408."),
    Key("tls", ABSENT, TLS, "Serve TLS with this certificate; re-read at reload."),
))

ADMIN: Final = Table(AdminSettings, (
    Key("listen", "127.0.0.1:9901", ADDRESS, "Page, JSON API and /metrics; not loopback: token required."),
    Key("token", ABSENT, SecretFrom(optional=True), "Bearer token of the admin listener."),
    Key("tokens", {}, MapOf(SecretFrom()), "More of them, by the names under which the audit log knows their owners."),
))

JWKS: Final = Table(JwksSettings, (
    Key("refresh", "5m", POSITIVE, "How old published keys may become before they are fetched again."),
    Key("cooldown", "1s", POSITIVE, "Time from a fetch in vain to the next, however many unknown keys tokens name."),
    Key("stale", "7d", DURATION, "How long keys serve that cannot be fetched again; 0s is for ever."),
    Key("timeout", "5s", POSITIVE, "How long the provider may take."),
    Key("ca", ABSENT, FILE, "PEM file of the authorities that the provider's certificate is from; else the system's."),
))

_CLAIMS: Final = (
    Key("audience", ABSENT, STRING, "What the claim aud must name; not checked if absent."),
    Key("leeway", "30s", DURATION, "How far clocks may differ when exp, nbf and iat are judged."),
    Key("user_claim", "sub", CLAIM, "The claim that names the user; here as below, /a/b is the member b of a."),
    Key("user_prefix", "", PREFIX_OF_USERS, "Put before the user's name, to tell apart users of several issuers."),
    Key("plan_claim", "plan", CLAIM, "The claim that names the plan; an account's plan wins over it."),
    Key("role_claim", "role", CLAIM, "The claim that names the role or roles."),
    Key("scope_claim", "scope", CLAIM, "The claim that names the scopes: a list, or one text with spaces."),
    Key("tenant_claim", ABSENT, CLAIM, "The claim that names the tenant, which agents see as X-User-Tenant."),
    Key("require", ["exp", "sub"], ListOf(STRING), "Claims a token must have, each of the right JSON type."),
    Key("refuse_types", ["refresh"], ListOf(STRING), "Values of the claim type that are never accepted."),
)
_KEYS: Final = (
    Key("secret", ABSENT, SecretFrom(), "Verifies HS* tokens, and signs ours; at least as many bytes as the hash has."),
    Key("older_secrets", {}, MapOf(SecretFrom()), "Secrets by any name that still verify HS* tokens, and sign none."),
    Key("public_key", ABSENT, SecretFrom(plain=True), "Verifies RS*, PS*, ES* and EdDSA tokens; PEM."),
    Key("jwks_url", ABSENT, WEB_URL, "Where the identity provider publishes its keys; else issuer is asked for it."),
    Key("jwks", {}, JWKS, "How published keys are fetched."),
)

ISSUER: Final = Table(IssuerSettings, (
    Key("issuer", REQUIRED, STRING, "What the claim iss is in the tokens of this issuer."),
    Key("algorithms", ["RS256", "ES256"], ListOf(ALGORITHM, 1), "Signature algorithms that its tokens may use."),
    *_KEYS,
    *_CLAIMS,
))

AUTH: Final = Table(AuthSettings, (
    Key("algorithms", ["HS256"], ListOf(ALGORITHM, 1), "Signature algorithms that tokens may use."),
    *_KEYS,
    Key("issuer", ABSENT, STRING, "What the claim iss must be; not checked if absent."),
    *_CLAIMS,
    Key("share_keys", False, BOOLEAN, "true: daemons share published keys in the Redis they count in."),
    Key("issuers", {}, MapOf(ISSUER), "More issuers, a table for each; their tokens name them in the claim iss."),
))

COUNTERS: Final = Table(CountersSettings, (
    Key("url", "memory:", COUNTERS_URL, "memory: (all workers of this daemon), redis://, rediss:// or unix:PATH."),
    Key("on_outage", "local", STORE_OUTAGE, "local (this daemon's share of the limit), allow or deny."),
))

LEDGER: Final = Table(LedgerSettings, (
    Key("url", "sqlite:var/gatewayd.db", LEDGER_URL, "sqlite:PATH or postgresql://; ${VAR} hides a password."),
    Key("durability", "process", DURABILITY, "process survives kill -9, disk survives power loss."),
    Key("on_outage", "journal", LEDGER_OUTAGE, "journal (serve from leases, record locally, ship later) or deny."),
))

ACCESS_LOG: Final = Table(AccessLogSettings, (
    Key("file", "-", LOG, '"-" is standard output, "journald:" the journal, an empty one writes no log.'),
    Key("sample", 1, SAMPLE, "One in so many requests that went well is logged; errors and refusals always are."),
))

AUDIT_LOG: Final = Table(AuditLogSettings, (
    Key("file", "", LOG, "A file or journald: for refusals and actions; empty: actions are in the daemon's own log."),
))

TRACING: Final = Table(TracingSettings, (
    Key("spans", False, BOOLEAN, "true: spans by OpenTelemetry; needs gatewayd[otel] and heeds its OTEL_* variables."),
    Key("server_timing", ["admin"], ListOf(STRING), "Callers with one of these roles are told what took how long."),
))

RATE_LIMIT: Final = Table(RateLimitSettings, (
    Key("limits", ["60/minute", "1000/hour"], RATES, "Per user, as in 60/minute or 60/minute burst 20."),
    Key("unauthenticated", ["30/minute"], RATES, "Per client address, for callers without a valid token."),
))

PLAN: Final = Table(Plan, (
    Key("default", False, BOOLEAN, "The plan of users that name none; without any default they get 402."),
    Key("quota", {}, MapOf(UNITS), "Units per calendar month, UTC; 0 is unlimited."),
    Key("rate_limit", ABSENT, RATES, "Replaces the general limits for users of this plan."),
), named=True)

USAGE: Final = Table(Usage, (
    Key("unit", "api_calls", UNIT, "What a call is counted in; quotas of plans name it."),
    Key("cost", 1, UNITS, "Units of a call whose agent states no quantity."),
    Key("max", ABSENT, UNITS, "Units held for a call whose agent states a quantity; it is charged no more."),
))

CHARGE: Final = Table(Charge, (
    Key("failed", 0, CHARGED, 'Units charged when the agent failed, or "cost".'),
    Key("client_closed", "cost", CHARGED, 'Units charged when the caller left first, or "cost".'),
))

TIMEOUTS: Final = Table(Timeouts, (
    Key("connect", "2s", DURATION, "To connect to the agent; 0s is no timeout, here as below."),
    Key("first_byte", "30s", DURATION, "From the request sent to the first byte of the answer."),
    Key("idle", "60s", DURATION, "Longest silence within the answer."),
    Key("total", "0s", DURATION, "For the whole exchange with the agent."),
))

AGENT_TLS: Final = Table(AgentTls, (
    Key("ca", ABSENT, FILE, "PEM file of the authorities that the agent's certificate is from; else the system's."),
    Key("certificate", ABSENT, FILE, "PEM file with the certificate that is shown to the agent, and its chain."),
    Key("key", ABSENT, FILE, "PEM file with that certificate's private key, not encrypted."),
    Key("server_name", ABSENT, STRING, "The name in the agent's certificate; else the host of its URL."),
))

METHODS: Final = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]

ROUTE: Final = Table(RouteSettings, (
    Key("prefix", REQUIRED, PREFIX, "Paths under which the route answers; the longest prefix wins."),
    Key("upstream", REQUIRED, UPSTREAMS, "A URL or several; what follows the prefix is appended."),
    Key("tls", ABSENT, AGENT_TLS, "How https agents are known, and what they are shown; re-read at reload."),
    Key("methods", METHODS, ListOf(METHOD, 1), "Methods that are passed on; others get 405."),
    Key("usage", {}, USAGE, "What a call costs."),
    Key("charge", {}, CHARGE, "What a call costs that did not end well."),
    Key("timeouts", {}, TIMEOUTS, "How long the agent may take."),
    Key("max_body", ABSENT, SIZE, "Largest body of a request here; the server's if absent."),
    Key("max_in_flight", 0, LIMIT, "Requests and streams on this route at once, over all workers; above it, 503."),
    Key("rate_limit", [], RATES, "Limits of this route, on top of the user's."),
    Key("public", False, BOOLEAN, "true: no token is needed."),
    Key("roles", [], ListOf(STRING), "Any one of these must be in the role claim, else 403; empty asks for none."),
    Key("scopes", [], ListOf(SCOPE), "Every one of these must be in the scope claim, else 403; empty asks for none."),
    Key("forward_authorization", False, BOOLEAN, "true: the agent sees the caller's Authorization header."),
    Key("service_token", "0s", DURATION, "Life of the token (X-Service-Token) for the agent to call others; 0s: none."),
    Key("drain", "finish", DRAINING, "Streams at a drain's deadline: finish or be cut, or close with a retry hint."),
    Key("upgrades", ["websocket"], ListOf(UPGRADE), "Protocols a connection may be upgraded to; [] refuses all."),
), named=True)

ROOT: Final = Table(Settings, (
    Key("server", {}, SERVER, "The listener for callers."),
    Key("admin", {}, ADMIN, "The listener for operators."),
    Key("auth", {}, AUTH, "How tokens are verified."),
    Key("counters", {}, COUNTERS, "Where rate limits count."),
    Key("ledger", {}, LEDGER, "Where quotas and usage records are kept."),
    Key("access_log", {}, ACCESS_LOG, "One JSON line per request."),
    Key("audit_log", {}, AUDIT_LOG, "One JSON line per refusal and per operator's action."),
    Key("tracing", {}, TRACING, "Who may see where the time of a request goes."),
    Key("rate_limit", {}, RATE_LIMIT, "Limits for everyone."),
    Key("plans", {}, MapOf(PLAN), "What users bought, a table for each plan."),
    Key("routes", {}, MapOf(ROUTE), "The agents, a table for each."),
))
# fmt: on


def keys(table: Table = ROOT, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Key]]:
    """Every key with its path, tables before what is in them; NAME stands for a route's or a plan's name."""
    for key in table.keys:
        here = (*path, key.name)
        yield here, key
        if isinstance(key.kind, Table):
            yield from keys(key.kind, here)
        elif isinstance(key.kind, MapOf) and isinstance(key.kind.item, Table):
            yield from keys(key.kind.item, (*here, "NAME"))
