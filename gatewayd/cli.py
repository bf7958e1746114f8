"""The `gatewayd` command: one line per subcommand."""

import click

from gatewayd import __version__
from gatewayd.commands.configuration import check, init
from gatewayd.commands.demonstration import demo
from gatewayd.commands.explaining import explain
from gatewayd.commands.serving import start, status, stop
from gatewayd.commands.tokens import token
from gatewayd.commands.usage import usage


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gatewayd")
def main() -> None:
    """A gateway for AI agents: exact about money, invisible in time, calm in operation."""


for command in (start, stop, status, check, init, token, explain, usage, demo):
    main.add_command(command)
