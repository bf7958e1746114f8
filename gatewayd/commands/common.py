"""What every command shares: the configuration it is given, and how it fails."""

import asyncio
import os
import re
import sys
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import click

from gatewayd.config.loading import Loaded, load
from gatewayd.config.settings import Settings
from gatewayd.errors import ConfigError, Problem

try:
    import uvloop

    new_event_loop: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
except ImportError:  # pragma: no cover  # no wheel for this machine: asyncio's own loop serves, more slowly
    new_event_loop = asyncio.new_event_loop

T = TypeVar("T")

DEFAULT_CONFIG: Final = "conf/gatewayd.toml"
_DURATION: Final = re.compile(r"(\d{1,9})(ms|s|m|h|d)")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

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
        if isinstance(value, float):
            return value
        if (match := _DURATION.fullmatch(value)) is None:
            self.fail(f"{value!r} is not a duration; write 90s, 5m or 1h", param, ctx)
        return int(match[1]) * _UNITS[match[2]]


def load_config(path: Path) -> Loaded:
    """The configuration with its warnings on stderr; ends the command with every problem if it is refused."""
    try:
        loaded = load(path, os.environ)
    except ConfigError as error:
        report(error.problems, "problem")
        sys.exit(1)
    for warning in loaded.warnings:
        click.echo(f"warning: {warning}", err=True)
    return loaded


def load_settings(path: Path) -> Settings:
    return load_config(path).settings


def report(problems: Iterable[Problem], word: str) -> None:
    """Each on a line of stderr, and how many there were."""
    lines = [str(problem) for problem in problems]
    for text in lines:
        click.echo(text, err=True)
    click.echo(f"{len(lines)} {word}{'s' if len(lines) != 1 else ''}", err=True)


def fail(message: object, code: int = 1) -> NoReturn:
    """End the command with one line on stderr."""
    click.echo(f"gatewayd: {message}", err=True)
    sys.exit(code)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the fastest loop there is."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main)
