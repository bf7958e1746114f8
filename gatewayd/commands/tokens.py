"""token: a signed token for development."""

from pathlib import Path
from typing import Any

import click

from gatewayd.clock import SystemClock
from gatewayd.commands.common import Duration, config_option, fail, load_settings
from gatewayd.identity.signing import Grant, SigningError, sign_token


@click.command(epilog="Example: export TOKEN=$(gatewayd token --user ann --plan free --ttl 8h)")
@config_option
@click.option("--user", required=True, help="Whom the token names.")
@click.option("--plan", help="The plan that it claims; without one, the default plan holds.")
@click.option("--ttl", type=Duration(), default="1h", show_default=True, help="How long it is valid.")
@click.option("--role", "roles", multiple=True, help="A role that it claims; may be repeated.")
@click.option("--scope", "scopes", multiple=True, help="A scope that it claims; may be repeated.")
@click.option("--tenant", help="The tenant that it claims.")
@click.option("--service", help="The agent that calls with it, for the user.")
@click.option("--run", metavar="ID", help="The run that the agent's calls belong to; makes it a service token.")
def token(config: Path, user: str, plan: str | None, ttl: float, **granted: Any) -> None:
    """Print a token signed with the configured secret."""
    settings = load_settings(config)
    try:
        click.echo(sign_token(settings.auth, SystemClock(), user, Grant(plan=plan, **granted), ttl=ttl))
    except SigningError as error:
        fail(error)
    if plan is not None and plan not in settings.plans:
        click.echo(f"warning: no plan is called {plan}, so every call will meet 402", err=True)
