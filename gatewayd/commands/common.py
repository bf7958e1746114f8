"""What every command shares: the configuration it is given, and how it fails."""

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import click

from gatewayd.audit import action_line, append
from gatewayd.clock import SystemClock
from gatewayd.config import loading
from gatewayd.config.loading import Loaded, load
from gatewayd.config.report import Report
from gatewayd.config.settings import Settings
from gatewayd.config.shape import Invalid
from gatewayd.config.values import duration
from gatewayd.errors import ConfigError, Problem, StartError
from gatewayd.outlets import LinesLost
from gatewayd.process.actions import account, named
from gatewayd.process.control import NotRunning, ask
from gatewayd.stores.open import judge_addresses

try:
    import uvloop

    new_event_loop: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
except ImportError:  # pragma: no cover  # no wheel for this machine: asyncio's own loop serves, more slowly
    new_event_loop = asyncio.new_event_loop

T = TypeVar("T")

DEFAULT_CONFIG: Final = "conf/gatewayd.toml"
AUDITED: Final = ("audit_log", "server.state_dir")
"""The keys that `audited` needs."""
_NOTING: Final = 5.0  # seconds that a daemon may take to note something

config_option = click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    envvar="GATEWAYD_CONFIG",
    default=DEFAULT_CONFIG,
    show_default=True,
    help="The configuration file (TOML, or INI by its suffix); also GATEWAYD_CONFIG.",
)


class Duration(click.ParamType[float]):
    """`250ms`, `2s`, `5m`, `1h`, `7d` as seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return duration(value)
        except Invalid as error:
            self.fail(f"{value!r} {error.message} ({error.hint or 'it must be shorter'})", param, ctx)


def judged(path: Path) -> Loaded:
    """The configuration, with a warning for each key that this version cannot start with yet. Raises ConfigError."""
    return load(path, os.environ, judges=(_stores,))


def _stores(settings: Settings, report: Report) -> None:
    addresses = settings.counters.url.reveal(), settings.ledger.url.reveal()
    for key, fault in judge_addresses(*addresses).items():
        report.warning(tuple(key.split(".")), f"{fault}; start will refuse it")


def load_config(path: Path) -> Loaded:
    """The configuration with its warnings on stderr; ends the command with every problem if it is refused."""
    try:
        loaded = judged(path)
    except ConfigError as error:
        refuse(error)
    for warning in loaded.warnings:
        click.echo(f"warning: {warning}", err=True)
    return loaded


def load_settings(path: Path) -> Settings:
    return load_config(path).settings


def load_for(needed: Sequence[str], path: Path) -> Settings:
    """The settings for a command that reads these keys only: it needs no secret, and no other key to be right."""
    try:
        return loading.load_for(needed, path, os.environ)
    except ConfigError as error:
        refuse(error)


def audited(settings: Settings, action: str, **subject: object) -> None:
    """Note in the audit log what was done, by whom; it stays done if that cannot be written, with a warning.

    A daemon that runs notes it, with the kernel's word for who it was; without one, this process does.
    """
    said: dict[str, Any] = {"action": action, "subject": subject, **by_whom()}
    with suppress(NotRunning, StartError, TimeoutError):
        if ask(settings.server.state_dir, "note", patience=_NOTING, **said).get("noted"):
            return
    by = named(account(os.getuid()), said["sudo"])
    line = action_line(SystemClock().utc(), action, subject, by=by, origin=said["origin"])
    target = settings.audit_log.file
    try:
        append(target if target not in ("", "-") else _place_without_daemon(settings), line)
    except (LinesLost, OSError) as error:
        click.echo(f"warning: this cannot be written to the audit log ({error}): {line.decode()}", nl=False, err=True)


def _place_without_daemon(settings: Settings) -> str:
    """Where the streams of the daemon would be. Raises OSError."""
    state = settings.server.state_dir
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    return str(state / "audit.log")


def by_whom() -> dict[str, str]:
    """What the kernel does not tell the daemon of who asks: behind sudo, who did; and where the command was given."""
    came = os.environ.get("SSH_CONNECTION", "").partition(" ")[0]
    origin = f"command line of {socket.gethostname()}" + (f", from {came}" if came else "")
    return {"sudo": os.environ.get("SUDO_USER", ""), "origin": origin}


def refuse(error: ConfigError) -> NoReturn:
    """End the command with every problem on a line of stderr."""
    for problem in error.problems:
        click.echo(str(problem), err=True)
    click.echo(counted(error.problems), err=True)
    sys.exit(1)


def counted(problems: Iterable[Problem]) -> str:
    """How many there are, in words."""
    number = len(tuple(problems))
    return f"{number} problem{'s' if number != 1 else ''}"


def fail(message: object, code: int = 1) -> NoReturn:
    """End the command with one line on stderr."""
    click.echo(f"gatewayd: {message}", err=True)
    sys.exit(code)


def abandon_stdout() -> None:
    """Nobody reads it, or it is full: what is still buffered must not fail again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the fastest loop there is."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main)
