"""reload, plan and upgrade: another configuration or another program for the running daemon."""

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import click
import orjson

from gatewayd.clock import SystemClock
from gatewayd.commands.common import by_whom, config_option, fail, judged, load_for, refuse
from gatewayd.commands.serving import ask_daemon
from gatewayd.config.difference import difference
from gatewayd.config.settings import Settings
from gatewayd.errors import ConfigError
from gatewayd.process.control import NotRunning, ask

_ASKING = ("server.state_dir",)
_LOOK: Final = 0.05
_PATIENCE: Final = 60.0
"""Seconds that a reload may take, those included that it waits for others."""


@click.command(epilog="Example: gatewayd reload -c conf/gatewayd.toml")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print the daemon's whole answer.")
def reload(config: Path, as_json: bool) -> None:
    """Have the running daemon read its configuration again, and wait until it is in force everywhere or refused."""
    settings = load_for(_ASKING, config)
    answer = ask_daemon(settings, "reload", patience=_PATIENCE, file=str(config.absolute()), **by_whom())
    if as_json:
        click.echo(orjson.dumps(answer, option=orjson.OPT_INDENT_2))
    _end_if_refused(answer, f"generation {answer.get('generation')} still serves")
    if as_json:
        return
    waited = ", after another reload" if answer["waited"] else ""
    click.echo(f"generation {answer['generation']} is in force ({answer['seconds']:.3f} s{waited})")
    for line in (*_told(answer["changes"]), *_older(answer)):
        click.echo(line)
    for warning in answer["warnings"]:
        click.echo(f"warning: {warning}", err=True)


@click.command(epilog="Example: gatewayd plan new.toml -c conf/gatewayd.toml")
@config_option
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the difference as JSON.")
def plan(config: Path, file: Path, as_json: bool) -> None:
    """Print what a reload to FILE would change, without doing it.

    Compared is with what the running daemon serves by; without one, with the configuration file.
    """
    try:
        answer = ask(load_for(_ASKING, config).server.state_dir, "plan", file=str(file.absolute()), patience=_PATIENCE)
    except NotRunning:
        click.echo(f"no daemon is running: compared with {config}", err=True)
        answer = _compared(config, file)
    _end_if_refused(answer, "it would be refused")
    if as_json:
        click.echo(orjson.dumps(answer["changes"], option=orjson.OPT_INDENT_2))
    else:
        for line in _told(answer["changes"]):
            click.echo(line)
    if keys := answer["changes"]["needs_restart"]:
        fail(f"a reload would be refused: {', '.join(keys)} cannot change while the daemon runs")


@click.command(epilog="Example: gatewayd upgrade --executable /opt/gatewayd-2/bin/gatewayd")
@config_option
@click.option("--executable", type=click.Path(path_type=Path), help="The new gatewayd; the daemon's own if none.")
def upgrade(config: Path, executable: Path | None) -> None:
    """Have the running daemon become the gatewayd that is installed now, without a refused connection or a cut stream.

    The process stays, with its sockets; its workers finish what they serve, and new ones take the callers that come.
    """
    settings = load_for(_ASKING, config)
    words = {"executable": str(executable.absolute()), "config": str(config.absolute())} if executable else {}
    before = ask_daemon(settings, "upgrade", patience=_PATIENCE, **words, **by_whom())
    if (why := before.get("refused")) is not None:
        fail(f"{why}; the daemon serves on as it was")
    after = _until_upgraded(settings, before["image"])
    click.echo(f"pid {after['pid']} is gatewayd {after['version']} now, generation {after['generation']}")
    for line in _older(after):
        click.echo(line)


def _until_upgraded(settings: Settings, image: int) -> dict[str, Any]:  # noqa: RET503  # fail does not return
    """The daemon's status once the new program serves; ends the command if that does not come."""
    deadline = SystemClock().monotonic() + _PATIENCE
    while SystemClock().monotonic() < deadline:
        with suppress(NotRunning, TimeoutError):
            found = ask(settings.server.state_dir, "status")
            if why := found["upgrade_failure"]:
                fail(why)
            if found["image"] > image and found["state"] == "serving":
                return found
        time.sleep(_LOOK)
    fail("the daemon did not become another program in time; see its log")


def _compared(config: Path, file: Path) -> dict[str, Any]:
    try:
        return {"changes": difference(judged(config).settings, judged(file).settings).document()}
    except ConfigError as error:
        refuse(error)


def _end_if_refused(answer: Mapping[str, Any], otherwise: str) -> None:
    if (why := answer.get("refused")) is None:
        return
    for each in answer.get("problems", ()):
        place = f"{each['file']}:{each['line']}:{each['column']}"
        hint = f" ({each['hint']})" if each["hint"] else ""
        click.echo(f"{place}: {each['key']}: {each['message']}{hint}", err=True)
    fail(f"{why}; {otherwise}")


def _told(changes: Mapping[str, Any]) -> list[str]:
    lines = [line for kind in ("routes", "plans") for line in _named(kind, changes[kind])]
    lines += [f"changed {each}" for each in changes["general"]]
    return lines or ["nothing has changed"]


def _named(kind: str, changes: Mapping[str, Any]) -> Iterator[str]:
    for word in ("added", "removed"):
        for name in changes[word]:
            yield f"{word:<7} {kind}.{name}"
    for keys in changes["changed"].values():
        for each in keys:
            yield f"changed {each}"


def _older(answer: Mapping[str, Any]) -> Iterator[str]:
    """Requests and streams that go on as they began."""
    for number, count in answer["running_by_generation"].items():
        if int(number) < answer["generation"]:
            yield f"{count} still running on generation {number}"
