"""start, status, stop: the daemon and those who ask it."""

import logging
import os
from pathlib import Path
from typing import Any, Final

import click
import orjson

from gatewayd import __version__
from gatewayd.clock import SystemClock
from gatewayd.commands.common import (
    abandon_stdout,
    by_whom,
    config_option,
    fail,
    judged,
    load_for,
    load_settings,
    run,
)
from gatewayd.commands.dashboard import summary
from gatewayd.config.loading import Loaded
from gatewayd.config.settings import Settings
from gatewayd.errors import StartError, StoreError
from gatewayd.process.control import NotRunning, ask
from gatewayd.process.handover import REHEARSE, own_command
from gatewayd.process.supervisor import Supervisor

_STOP_MARGIN: Final = 10.0  # seconds beyond the drain's deadline that a stop may take

_ASKING = ("server.state_dir", "server.drain_timeout")  # all that it takes to ask a daemon


@click.command(epilog="Example: gatewayd start -c conf/gatewayd.toml")
@config_option
@click.option(REHEARSE, is_flag=True, hidden=True)
def start(config: Path, rehearse: bool) -> None:
    """Serve in the foreground until SIGTERM (drains) or a second SIGTERM (ends at once). SIGHUP reloads."""
    settings = load_settings(config)
    if rehearse:
        click.echo(__version__)
        return
    log_to_stderr()

    def reread(file: str) -> Loaded:
        return judged(Path(file) if file else config)

    try:
        Supervisor(settings, SystemClock(), os.environ, run, reread, own_command()).run(_announce)
    except (StartError, StoreError) as error:
        fail(error)


def _announce(ready: str) -> None:
    """A daemon serves, whether anybody reads its ready line or not."""
    try:
        click.echo(ready)
    except OSError:
        abandon_stdout()


def log_to_stderr() -> None:
    """The daemon's own log; requests have another."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


@click.command(epilog="Example: gatewayd status --json")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print the daemon's whole answer.")
def status(config: Path, as_json: bool) -> None:
    """Ask the running daemon how it is."""
    settings = load_for(_ASKING, config)
    answer = ask_daemon(settings, "status")
    if as_json:
        click.echo(orjson.dumps(answer, option=orjson.OPT_INDENT_2))
        return
    build = answer.get("build", "whatever its build")
    click.echo(
        f"{answer['state']}: pid {answer['pid']}, version {answer['version']} ({build}), "
        f"up {answer['uptime_seconds']:.0f} s"
    )
    click.echo(f"listening on {', '.join(answer['listening'])}")
    click.echo(f"{answer['in_flight']} in flight, generation {answer['generation']}, {len(answer['routes'])} routes")
    for number, count in answer["running_by_generation"].items():
        if int(number) < answer["generation"]:
            click.echo(f"{count} still running on generation {number}")
    overview = ask_daemon(settings, "overview")
    click.echo(summary(overview) if "verdict" in overview else overview["error"])


@click.command(epilog="Example: gatewayd stop -c conf/gatewayd.toml")
@config_option
def stop(config: Path) -> None:
    """Ask the running daemon to drain, and wait until it is gone."""
    settings = load_for(_ASKING, config)
    patience = settings.server.drain_timeout + _STOP_MARGIN
    answer = ask_daemon(settings, "stop", until_gone=True, patience=patience, **by_whom())
    click.echo(f"stopped pid {answer['pid']}, which had {answer['in_flight']} requests in flight")


def ask_daemon(settings: Settings, command: str, **options: Any) -> dict[str, Any]:
    """The running daemon's answer; ends the command if there is none."""
    try:
        return ask(settings.server.state_dir, command, **options)
    except (NotRunning, StartError) as error:
        fail(error)
    except TimeoutError:
        fail(f"the daemon did not answer {command} in time; its log may say why")
