"""demo: the five agents and the gateway in front of them, with lines to copy."""

import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

import click

from gatewayd.clock import SystemClock
from gatewayd.commands.common import fail, report, run
from gatewayd.commands.serving import log_to_stderr
from gatewayd.config.loading import Loaded, load, parse
from gatewayd.config.settings import Settings
from gatewayd.config.starter import starter
from gatewayd.demo.agents import PortUnavailable, running_agents
from gatewayd.demo.samples import samples
from gatewayd.errors import ConfigError, StartError, StoreError
from gatewayd.identity.signing import SigningError, sign_token
from gatewayd.process.daemon import Daemon

_TOKEN_TTL = 8 * 3600.0


@click.command(epilog="Example: gatewayd demo -c conf/gatewayd.toml")
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    envvar="GATEWAYD_CONFIG",
    help="A configuration for the gateway; without one, the five agents' own.",
)
def demo(config: Path | None) -> None:
    """Run the five demo agents and the gateway before them; Ctrl-C stops all of it."""
    environ = {"GATEWAYD_JWT_SECRET": secrets.token_urlsafe(48), **os.environ}
    log_to_stderr()
    try:
        settings = _load(config, environ).settings
        run(_show(settings, environ))
    except ConfigError as error:
        report(error.problems, "problem")
        sys.exit(1)
    except (StartError, StoreError, PortUnavailable, SigningError) as error:
        fail(error)


def _load(config: Path | None, environ: dict[str, str]) -> Loaded:
    return load(config, environ) if config is not None else parse(starter(), "demo.toml", environ)


async def _show(settings: Settings, environ: dict[str, str]) -> None:
    async with running_agents() as upstreams:
        for name, url in upstreams.items():
            click.echo(f"agent {name:<8} {url}")
        daemon = Daemon(settings, SystemClock(), environ)
        await daemon.run(_introduce(settings, daemon))


def _introduce(settings: Settings, daemon: Daemon) -> Callable[[str], None]:
    def announce(ready: str) -> None:
        token = sign_token(settings.auth, SystemClock(), "demo", ttl=_TOKEN_TTL)
        base = daemon.urls[0]
        click.echo(ready)
        click.echo(f"\n# in another shell\nexport TOKEN={token}\n")
        for sample in samples():
            click.echo(f"# {sample.agent}: {sample.description}\n{sample.curl(base)}\n")
        click.echo(f'# what it cost\ncurl -sS -H "Authorization: Bearer $TOKEN" {base}/gateway/v1/usage\n')
        click.echo("# Ctrl-C stops all of it")

    return announce
