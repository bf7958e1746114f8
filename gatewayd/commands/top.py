"""top: how the gateway is, in a terminal, once a second."""

import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click
import orjson
from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from gatewayd.commands.common import Duration, config_option, fail, load_for
from gatewayd.commands.dashboard import dashboard
from gatewayd.errors import StartError
from gatewayd.process.control import NotRunning, ask

_PATIENCE: Final = 5.0
_LEAST: Final = 0.2  # seconds between two looks
_QUIT: Final = frozenset(b"qQ\x03\x04")


@click.command(epilog="Example: gatewayd top --interval 2s")
@config_option
@click.option("--once", is_flag=True, help="Print it once, for scripts, and end.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole document once, as /api/overview answers it.")
@click.option("--interval", type=Duration(), default="1s", show_default=True, help="How often to look.")
def top(config: Path, once: bool, as_json: bool, interval: float) -> None:
    """Watch rate, latency, agents, refusals, users near their limits and the last errors; q ends it."""
    state_dir = load_for(("server.state_dir",), config).server.state_dir
    if as_json:
        click.echo(orjson.dumps(_overview(state_dir), option=orjson.OPT_INDENT_2))
    elif once:
        console = Console(highlight=False)
        console.print(dashboard(_overview(state_dir), console.width))
    elif sys.stdout.isatty() and sys.stdin.isatty():
        _watch(state_dir, max(_LEAST, interval))
    else:
        raise click.UsageError("there is no terminal to draw on: use --once or --json")


def _overview(state_dir: Path) -> dict[str, Any]:
    """Ends the command where nobody can say."""
    try:
        answer = ask(state_dir, "overview", patience=_PATIENCE)
    except (NotRunning, StartError) as error:
        fail(error)
    except TimeoutError:
        fail("the daemon did not answer in time; its log may say why")
    if "error" in answer:
        fail(answer["error"])
    return answer


def _watch(state_dir: Path, interval: float) -> None:
    """Draw until somebody quits; a daemon that is away is waited for."""
    console = Console(highlight=False)
    with _keys() as pressed, Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(_picture(state_dir, console.width), refresh=True)
            if pressed(interval):
                return


def _picture(state_dir: Path, width: int) -> RenderableType:
    try:
        answer = ask(state_dir, "overview", patience=_PATIENCE)
    except (NotRunning, StartError) as error:
        return Text(f"■ {error}", "red")
    except TimeoutError:
        return Text("■ the daemon does not answer", "red")
    return Text(f"■ {answer['error']}", "red") if "error" in answer else dashboard(answer, width)


@contextmanager
def _keys() -> Iterator[Callable[[float], bool]]:
    """Keys as they are pressed, without their echo: waits so many seconds, and tells whether one of them quits.

    So does SIGINT, which is heard here and raises nothing: what it raises is lost where a finalizer just runs.
    """
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)

    with _interrupts() as interrupts:

        def pressed(timeout: float) -> bool:
            until = time.monotonic() + timeout
            while heard := select.select([terminal, interrupts], [], [], max(0.0, until - time.monotonic()))[0]:
                if interrupts in heard:
                    return True
                keys = os.read(terminal, 64)
                if not keys or _QUIT & set(keys):  # nothing to be read: nobody is there any more
                    return True
            return False

        try:
            tty.setcbreak(terminal)
            mode = termios.tcgetattr(terminal)
            mode[3] |= termios.NOFLSH  # or Ctrl-C would take along what is written last: to leave the screen
            termios.tcsetattr(terminal, termios.TCSADRAIN, mode)
            yield pressed
        finally:
            termios.tcsetattr(terminal, termios.TCSADRAIN, before)


@contextmanager
def _interrupts() -> Iterator[int]:
    """A descriptor from which something can be read once SIGINT came."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    handler = signal.signal(signal.SIGINT, lambda *_: None)
    others = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield reader
    finally:
        signal.set_wakeup_fd(others)
        signal.signal(signal.SIGINT, handler)
        os.close(reader)
        os.close(writer)
