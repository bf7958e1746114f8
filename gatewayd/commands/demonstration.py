"""demo: the five agents and the gateway in front of them, with lines to copy."""

import asyncio
import os
import secrets
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import click

from gatewayd.clock import SystemClock
from gatewayd.commands.common import fail, refuse, run
from gatewayd.commands.serving import log_to_stderr
from gatewayd.config.loading import load, parse
from gatewayd.config.settings import Address, Settings
from gatewayd.config.starter import AGENTS, from_environment
from gatewayd.demo.agents import PortUnavailable, running_agents
from gatewayd.demo.samples import samples
from gatewayd.errors import ConfigError, StartError, StoreError
from gatewayd.identity.signing import SigningError, sign_token
from gatewayd.process.daemon import Daemon

_TOKEN_TTL: Final = 8 * 3600.0
_ANY_PORT: Final = Address("tcp", "127.0.0.1", 0)


@click.command(epilog="Example: gatewayd demo")
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    envvar="GATEWAYD_CONFIG",
    help="A configuration for the gateway; without one, the five agents' own.",
)
@click.option("--free-ports", is_flag=True, help="Take any free ports instead of 8080 to 8085, to run it twice.")
def demo(config: Path | None, free_ports: bool) -> None:
    """Run the five demo agents and the gateway before them; Ctrl-C stops all of it."""
    if config is not None and free_ports:
        raise click.UsageError("--free-ports cannot be used with a configuration, which names its agents' ports")
    environ = {"GATEWAYD_JWT_SECRET": secrets.token_urlsafe(48), **os.environ}
    log_to_stderr()
    try:
        run(_show(config, free_ports, environ))
    except ConfigError as error:
        refuse(error)
    except (StartError, StoreError, PortUnavailable, SigningError) as error:
        fail(error)


async def _show(config: Path | None, free_ports: bool, environ: Mapping[str, str]) -> None:
    nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    async with running_agents(dict.fromkeys((agent.name for agent in AGENTS), 0) if free_ports else None) as upstreams:
        settings = load(config, environ).settings if config is not None else _before(upstreams, environ)
        if free_ports:
            settings = _anywhere(settings)
        for name, url in upstreams.items():
            click.echo(f"agent {name:<8} {url}")
        daemon = Daemon(settings, SystemClock(), environ)
        await daemon.run(_introduce(settings, daemon, urlsplit(upstreams["scraper"]).port, nohup=nohup))


def _before(upstreams: Mapping[str, str], environ: Mapping[str, str]) -> Settings:
    """The starter configuration, in front of the agents where they are."""
    bases = {agent.variable: upstreams[agent.name].removesuffix(agent.mount) for agent in AGENTS}
    return parse(from_environment(bases).text, "demo.toml", environ).settings


def _anywhere(settings: Settings) -> Settings:
    server, admin = replace(settings.server, listen=(_ANY_PORT,)), replace(settings.admin, listen=_ANY_PORT)
    return replace(settings, server=server, admin=admin)


def _introduce(settings: Settings, daemon: Daemon, scraper: int | None, *, nohup: bool) -> Callable[[str], None]:
    """Says the ready line, a token and a line to copy for each sample, once the gateway serves."""

    def announce(ready: str) -> None:
        if not nohup:  # nobody reloads a demo: who closes its terminal is done with it
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, daemon.stop)
        user = f"demo-{secrets.token_hex(3)}"  # a new one each time, whose quota nobody has used yet
        token = sign_token(settings.auth, SystemClock(), user, ttl=_TOKEN_TTL)
        base = next((url for url in daemon.urls if url.startswith("http")), daemon.urls[0])
        click.echo(ready)
        click.echo(f"\n# in another shell\nexport TOKEN={token}\n")
        for sample in samples(scraper):
            click.echo(f"# {sample.agent}: {sample.description}\n{sample.curl(base)}\n")
        click.echo(f'# what it cost\ncurl -sS -H "Authorization: Bearer $TOKEN" {base}/gateway/v1/usage\n')
        click.echo("# Ctrl-C stops all of it")

    return announce
