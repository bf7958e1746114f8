"""The `gatewayd` command: one line per subcommand."""

from typing import Any

import click

from gatewayd import __version__
from gatewayd.build import BUILD
from gatewayd.commands.accounts import account
from gatewayd.commands.common import abandon_stdout, fail
from gatewayd.commands.completing import completion
from gatewayd.commands.configuration import check, init
from gatewayd.commands.demonstration import demo
from gatewayd.commands.explaining import explain
from gatewayd.commands.ledger import ledger
from gatewayd.commands.proving import prove
from gatewayd.commands.reloading import plan, reload, upgrade
from gatewayd.commands.revoking import revoke
from gatewayd.commands.serving import start, status, stop
from gatewayd.commands.tokens import token
from gatewayd.commands.top import top
from gatewayd.commands.usage import usage


class Commands(click.Group):
    """A result that cannot be written is an error like any other, not a traceback."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            abandon_stdout()
            fail(f"the result could not be written: {error.strerror}")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(f"{__version__} ({BUILD})", prog_name="gatewayd")
def main() -> None:
    """A gateway for AI agents: exact about money, invisible in time, calm in operation."""


for command in (
    start,
    stop,
    status,
    reload,
    plan,
    top,
    upgrade,
    check,
    init,
    token,
    explain,
    usage,
    ledger,
    account,
    revoke,
    demo,
    prove,
    completion,
):
    main.add_command(command)
