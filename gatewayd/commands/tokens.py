"""token: a signed token for development."""

from pathlib import Path

import click

from gatewayd.clock import SystemClock
from gatewayd.commands.common import Duration, config_option, fail, load_settings
from gatewayd.identity.signing import SigningError, sign_token


@click.command(epilog="Example: export TOKEN=$(gatewayd token --user ann --plan free --ttl 8h)")
@config_option
@click.option("--user", required=True, help="Whom the token names.")
@click.option("--plan", help="The plan that it claims; without one, the default plan holds.")
@click.option("--ttl", type=Duration(), default="1h", show_default=True, help="How long it is valid.")
@click.option("--role", "roles", multiple=True, help="A role that it claims; may be repeated.")
def token(config: Path, user: str, plan: str | None, ttl: float, roles: tuple[str, ...]) -> None:
    """Print a token signed with the configured secret."""
    settings = load_settings(config)
    try:
        click.echo(sign_token(settings.auth, SystemClock(), user, plan=plan, ttl=ttl, roles=roles))
    except SigningError as error:
        fail(error)
    if plan is not None and plan not in settings.plans:
        click.echo(f"warning: no plan is called {plan}, so every call will meet 402", err=True)
