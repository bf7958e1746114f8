"""usage: who spent what, read from the ledger whether a daemon runs or not."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import click
import orjson

from gatewayd.clock import SystemClock
from gatewayd.commands.common import config_option, fail, load_settings
from gatewayd.config.settings import Settings
from gatewayd.errors import StoreError
from gatewayd.model import Balance, BillingPeriod
from gatewayd.stores.open import open_reader

COLUMNS = ("user", "plan", "unit", "period", "limit", "held", "spent", "remaining", "resets_at")


@click.command(epilog="Example: gatewayd usage --user ann --format csv")
@config_option
@click.option("--user", help="This user only.")
@click.option("--period", help="A month, as 2026-11; the present one if not given. `all` for every month.")
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
def usage(config: Path, user: str | None, period: str | None, form: str) -> None:
    """Show spent, held, limit and the date of renewal per user and unit."""
    settings = load_settings(config)
    wanted = None if period == "all" else period or BillingPeriod.at(SystemClock().utc()).name
    try:
        rows = _rows(settings, user, wanted)
    except StoreError as error:
        fail(error)
    click.echo({"table": _table, "json": _json, "csv": _csv}[form](rows), nl=form == "table")


def _rows(settings: Settings, user: str | None, period: str | None) -> list[dict[str, object]]:
    with open_reader(settings.ledger.url.reveal()) as ledger:
        plans = {**ledger.last_plans(), **ledger.plans()}
        balances = ledger.balances(user_id=user, period=period)
    return [_row(balance, plans.get(balance.user_id)) for balance in balances]


def _row(balance: Balance, plan: str | None) -> dict[str, object]:
    return {
        "user": balance.user_id,
        "plan": plan,
        "unit": balance.unit,
        "period": balance.period,
        "limit": balance.limit or None,
        "held": balance.held,
        "spent": balance.spent,
        "remaining": balance.remaining,
        "resets_at": BillingPeriod.named(balance.period).resets_at,
    }


def _json(rows: Sequence[dict[str, object]]) -> str:
    return orjson.dumps(rows, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def _csv(rows: Sequence[dict[str, object]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _table(rows: Sequence[dict[str, object]]) -> str:
    if not rows:
        return "nothing was used"
    cells = [COLUMNS, *(tuple("-" if row[name] is None else str(row[name]) for name in COLUMNS) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(COLUMNS))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)
    return "\n".join(line.rstrip() for line in lines)
