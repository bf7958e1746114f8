"""check and init: configurations, without a daemon."""

import os
import sys
from pathlib import Path

import click
import orjson

from gatewayd.commands.common import config_option, counted, fail, judged, refuse
from gatewayd.config.report import problems_as_json
from gatewayd.config.starter import from_environment
from gatewayd.errors import ConfigError, Problem


@click.command(epilog="Example: gatewayd check -c conf/gatewayd.toml --format json")
@config_option
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def check(config: Path, form: str) -> None:
    """Say everything that is wrong with a configuration; exit 0 fine, 1 problems, 2 usage."""
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    try:
        warnings = judged(config).warnings
    except ConfigError as error:
        problems = error.problems
    if form == "json":
        _as_json(config, problems, warnings)
    else:
        _as_text(config, problems, warnings)
    sys.exit(1 if problems else 0)


def _as_json(config: Path, problems: tuple[Problem, ...], warnings: tuple[Problem, ...]) -> None:
    document = {
        "file": str(config),
        "ok": not problems,
        "problems": problems_as_json(problems),
        "warnings": problems_as_json(warnings),
    }
    click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))


def _as_text(config: Path, problems: tuple[Problem, ...], warnings: tuple[Problem, ...]) -> None:
    for problem in problems:
        click.echo(str(problem))
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    if problems:
        click.echo(counted(problems), err=True)
    else:
        click.echo(f"{config} is fine")


@click.command(epilog="Example: gatewayd init gatewayd.toml && gatewayd check -c gatewayd.toml")
@config_option
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--from-env", is_flag=True, help="Take over an older deployment's variables (EMAIL_AGENT_URL, ...).")
def init(config: Path, file: Path | None, from_env: bool) -> None:
    """Write a starter configuration to FILE, or to where -c points; the file must not exist yet."""
    try:
        made = from_environment(os.environ if from_env else {})
    except ConfigError as error:
        refuse(error)
    target = file if file is not None else config
    if target.suffix in (".ini", ".cfg"):
        fail(f"a starter is TOML, and {target} would be read as INI: name it {target.with_suffix('.toml')}")
    _write(target, made.text)
    for warning in made.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"wrote {target}; next: gatewayd check -c {target}")


def _write(target: Path, text: str) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        if target.parent.is_dir():
            fail(f"{target} exists already; it was left as it is")
        fail(f"cannot write {target}: {target.parent} is not a directory")
    except OSError as error:
        fail(f"cannot write {target}: {error.strerror}")
