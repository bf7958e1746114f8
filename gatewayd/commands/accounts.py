"""account: the plans that operators give to users; they win over what a token claims."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import click
import orjson

from gatewayd.commands.common import AUDITED, audited, config_option, fail, load_for
from gatewayd.commands.usage import table
from gatewayd.config.report import suggestion
from gatewayd.config.settings import Settings
from gatewayd.errors import StoreError
from gatewayd.model import Directory, rfc3339
from gatewayd.stores.open import open_clerk, open_reader

COLUMNS: Final = ("user", "plan", "revoked_until")
_NEEDED: Final = ("ledger", "plans", *AUDITED)

format_option = click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True
)


@click.group(epilog="Example: gatewayd account set ann --plan pro")
def account() -> None:
    """Give users a plan, or show who has which."""


@account.command("set", epilog="Example: gatewayd account set ann --plan pro")
@config_option
@click.argument("user")
@click.option("--plan", required=True, help="A plan of the configuration.")
def set_(config: Path, user: str, plan: str) -> None:
    """Set a user's plan from now on; a running daemon goes by it within 1 s."""
    settings = load_for(_NEEDED, config)
    if not user:
        raise click.BadParameter("a user has a name", param_hint="USER")
    if plan not in settings.plans:
        raise click.BadParameter(_unknown(plan, settings.plans), param_hint="--plan")
    try:
        with open_clerk(settings.ledger.url.reveal()) as clerk:
            clerk.assign(user, plan)
    except StoreError as error:
        fail(error)
    audited(settings, "account set", user=user, plan=plan)
    click.echo(f"{user} is on plan {plan} from now on; a running daemon goes by it within 1 s")


def _unknown(plan: str, known: Mapping[str, object]) -> str:
    names = f"the configuration has {', '.join(sorted(known))}" if known else "the configuration has no plans"
    hint = suggestion(plan, known)
    close = f"; {hint}" if hint.startswith("did you mean") else ""
    return f"no plan is called {plan!r}: {names}{close}"


@account.command(epilog="Example: gatewayd account show ann --format json")
@config_option
@click.argument("user")
@format_option
def show(config: Path, user: str, form: str) -> None:
    """Show a user's plan, and until when the user's tokens were revoked."""
    settings = load_for(_NEEDED, config)
    rows = [row for row in _rows(settings) if row["user"] == user]
    if not rows:
        fail(f"{user} has no account: the plan that the token claims holds, else the default one")
    click.echo(_json(rows[0]) if form == "json" else table(COLUMNS, rows), nl=form == "table")


@account.command("list", epilog="Example: gatewayd account list --format json")
@config_option
@format_option
def list_(config: Path, form: str) -> None:
    """Show every user whom an operator gave a plan, or whose tokens were revoked."""
    rows = _rows(load_for(_NEEDED, config))
    if form == "json":
        click.echo(_json(rows), nl=False)
    else:
        click.echo(table(COLUMNS, rows) if rows else "there are no accounts")


def _rows(settings: Settings) -> list[dict[str, object]]:
    """By user; with a warning for each plan that the configuration does not have (any more)."""
    try:
        with open_reader(settings.ledger.url.reveal()) as ledger:
            rows = account_rows(ledger.directory())
    except StoreError as error:
        fail(error)
    for plan in sorted({str(row["plan"]) for row in rows if row["plan"]} - set(settings.plans)):
        click.echo(f"warning: no plan is called {plan}, so calls of its users meet 402", err=True)
    return rows


def account_rows(directory: Directory) -> list[dict[str, object]]:
    """What was decided about each user, by name."""
    revoked = {each.subject: rfc3339(each.issued_until) for each in directory.revocations if each.kind == "user"}
    return [
        {"user": user, "plan": directory.plans.get(user), "revoked_until": revoked.get(user)}
        for user in sorted({*directory.plans, *revoked})
    ]


def _json(document: dict[str, object] | Sequence[dict[str, object]]) -> str:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()
