"""completion: what a shell needs to complete commands, options, files, methods and paths."""

import os
from pathlib import Path
from typing import Final

import click
from click.shell_completion import CompletionItem, get_completion_class

from gatewayd.commands.common import DEFAULT_CONFIG, config_option
from gatewayd.config.loading import load_for
from gatewayd.errors import ConfigError

SHELLS: Final = ("bash", "zsh", "fish")
PROGRAM: Final = "gatewayd"
VARIABLE: Final = "_GATEWAYD_COMPLETE"
_METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


@click.command(epilog="Example: gatewayd completion bash > ~/.local/share/bash-completion/completions/gatewayd")
@config_option
@click.argument("shell", type=click.Choice(SHELLS))
def completion(config: Path, shell: str) -> None:  # noqa: ARG001  # every command takes one
    """Print the code that makes a shell complete gatewayd's words."""
    kind = get_completion_class(shell)
    assert kind is not None
    root = click.get_current_context().find_root().command
    click.echo(kind(root, {}, PROGRAM, VARIABLE).source())


def methods(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """HTTP methods that begin so."""
    return [CompletionItem(name) for name in _METHODS if name.startswith(incomplete.upper())]


def paths(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Prefixes of the configured routes that begin so; none where the configuration cannot be read."""
    try:
        settings = load_for(("routes",), Path(context.params.get("config") or DEFAULT_CONFIG), os.environ)
    except ConfigError:
        return []
    return [CompletionItem(route.prefix) for route in settings.routes.values() if route.prefix.startswith(incomplete)]
