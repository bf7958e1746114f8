"""usage: who spent what, read from the ledger whether a daemon runs or not."""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
import orjson

from gatewayd.clock import SystemClock
from gatewayd.commands.common import config_option, fail, load_for
from gatewayd.config.settings import Settings
from gatewayd.errors import StoreError
from gatewayd.model import Balance, BillingPeriod
from gatewayd.stores.open import open_reader

COLUMNS: Final = ("user", "plan", "unit", "period", "limit", "held", "spent", "remaining", "resets_at")

EVERY: Final = "all"
_MONTH: Final = re.compile(r"[0-9]{4}-[0-9]{2}")


class Month(click.ParamType[str]):
    """`2026-11`, or `all`."""

    name = "month"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value != EVERY and not _is_month(value):
            self.fail(f"{value!r} is not a month; write 2026-11 or {EVERY}", param, ctx)
        return str(value)


def _is_month(text: str) -> bool:
    try:
        return bool(_MONTH.fullmatch(text) and BillingPeriod.named(text))
    except ValueError:
        return False


@click.command(epilog="Example: gatewayd usage --user ann --format csv")
@config_option
@click.option("--user", help="This user only.")
@click.option("--period", type=Month(), help="A month, as 2026-11, or all; the present one if not given.")
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
def usage(config: Path, user: str | None, period: str | None, form: str) -> None:
    """Show spent, held, limit and the date of renewal per user and unit."""
    settings = load_for(("ledger", "plans"), config)
    present = BillingPeriod.at(SystemClock().utc()).name
    try:
        rows = _rows(settings, user, None if period == EVERY else period or present, present)
    except StoreError as error:
        fail(error)
    click.echo({"table": _table, "json": _json, "csv": _csv}[form](rows), nl=form == "table")


def _rows(settings: Settings, user: str | None, period: str | None, present: str) -> list[dict[str, object]]:
    with open_reader(settings.ledger.url.reveal()) as ledger:
        plans = {**ledger.last_plans(), **ledger.directory().plans}
        balances = ledger.balances(user_id=user, period=period)
    rows = []
    for balance in balances:
        name = plans.get(balance.user_id)
        plan = settings.plans.get(name) if name and balance.period == present else None
        rows.append(_row(balance if plan is None else balance.under(plan.quota), name or None))
    return rows


def _row(balance: Balance, plan: str | None) -> dict[str, object]:
    return {"user": balance.user_id, "plan": plan, **balance.document()}


def _json(rows: Sequence[dict[str, object]]) -> str:
    return orjson.dumps(rows, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def _csv(rows: Sequence[dict[str, object]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _table(rows: Sequence[dict[str, object]]) -> str:
    return table(COLUMNS, rows) if rows else "nothing was used"


def table(columns: Sequence[str], rows: Sequence[dict[str, object]]) -> str:
    """A head and a line a row, in columns as wide as they must be; what is None is a dash."""
    cells = [columns, *([_cell(row[name]) for name in columns] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(columns))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)
    return "\n".join(line.rstrip() for line in lines)


def _cell(value: object) -> str:
    return "-" if value is None else str(value)
