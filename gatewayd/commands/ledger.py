"""ledger: whether the books are whole, and every record of them, with the daemon up or down."""

import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import click
import orjson

from gatewayd.clock import SystemClock
from gatewayd.commands.common import AUDITED, abandon_stdout, audited, config_option, fail, load_for
from gatewayd.commands.usage import EVERY, Month, table
from gatewayd.config.settings import Settings
from gatewayd.errors import StoreError
from gatewayd.model import BillingPeriod
from gatewayd.stores.open import open_clerk, open_reader
from gatewayd.stores.reading import LedgerReader, NodeLeases
from gatewayd.stores.verifying import Audit

_NEEDED: Final = ("ledger",)
_MOST_WARNINGS: Final = 20
_QUESTION: Final = (
    "Free {found.units} units of {found.accounts} accounts? What {found.node} served and has not posted is lost to the "
    "ledger then"
)


@click.group(epilog="Example: gatewayd ledger verify")
def ledger() -> None:
    """Check the ledger, or print its records."""


@ledger.command(epilog="Example: gatewayd ledger verify -c conf/gatewayd.toml")
@config_option
def verify(config: Path) -> None:
    """Check the chain of the records, the balances against them, and the end; a line a fault, and exit 1 on any.

    A limit that no plan has is a warning: no call is decided by it, and a changed configuration leaves such, too.
    """
    settings = load_for((*_NEEDED, "plans"), config)
    faults = 0
    try:
        with open_reader(settings.ledger.url.reveal()) as reader:
            audit = Audit(reader)
            for fault in audit.faults():
                click.echo(fault)
                faults += 1
            _warn(audit, settings)
    except StoreError as error:
        fail(error)
    if faults:
        fail(f"the ledger is not whole: {faults} fault{'s' if faults != 1 else ''} in {audit.records} records")
    figures = f"{audit.records} records, {audit.balances} balances, {audit.units} units spent"
    click.echo(f"the ledger is whole: {figures}, head {audit.head}")


def _warn(audit: Audit, settings: Settings) -> None:
    quotas: dict[str, set[int]] = {}
    for plan in settings.plans.values():
        for unit, quota in plan.quota.items():
            quotas.setdefault(unit, set()).add(quota)
    odd = iter(audit.oddities(BillingPeriod.at(SystemClock().utc()).name, quotas))
    for line in islice(odd, _MOST_WARNINGS):
        click.echo(f"warning: {line}", err=True)
    if more := sum(1 for _ in odd):
        click.echo(f"warning: and {more} more such limits", err=True)


@ledger.command(epilog="Example: gatewayd ledger export --user ann --period 2026-11 > november.jsonl")
@config_option
@click.option("--user", help="This user only.")
@click.option("--period", type=Month(), default=EVERY, show_default=True, help="A month, as 2026-11, or all.")
def export(config: Path, user: str | None, period: str) -> None:
    """Print every record as a JSON object a line, in the order of the chain and with it."""
    url = load_for(_NEEDED, config).ledger.url.reveal()
    try:
        with open_reader(url) as reader:
            sys.stdout.buffer.writelines(_lines(reader, user, None if period == EVERY else period))
            sys.stdout.flush()
    except StoreError as error:
        fail(error)
    except BrokenPipeError:  # the reader has what it wanted
        abandon_stdout()
        sys.exit(0)


def _lines(reader: LedgerReader, user: str | None, period: str | None) -> Iterator[bytes]:
    for row in reader.records():
        if user in (None, row.user_id) and period in (None, row.period):
            yield orjson.dumps(row._asdict(), option=orjson.OPT_APPEND_NEWLINE)


@ledger.command(epilog="Example: gatewayd ledger nodes --format json")
@config_option
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def nodes(config: Path, form: str) -> None:
    """Show the daemons that have units in leases: how many, of how many accounts, and what requests are using."""
    found = _nodes(load_for(_NEEDED, config).ledger.url.reveal())
    rows: list[dict[str, object]] = [each._asdict() for each in found]
    if form == "json":
        click.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE), nl=False)
    else:
        click.echo(table(NodeLeases._fields, rows) if rows else "no daemon has units in leases")


def _nodes(url: str) -> Sequence[NodeLeases]:
    try:
        with open_reader(url) as reader:
            return reader.nodes()
    except StoreError as error:
        fail(error)


@ledger.command(epilog="Example: gatewayd ledger release 3f6c0d9be1a24785")
@config_option
@click.argument("node")
@click.option("--yes", is_flag=True, help="Do not ask.")
def release(config: Path, node: str, yes: bool) -> None:
    """Free the units of a daemon that is gone for good, its state directory too; a daemon that answers keeps them.

    One that only stopped gives its units back at its next start, and posts what its journals say.
    """
    settings = load_for((*_NEEDED, *AUDITED), config)
    url = settings.ledger.url.reveal()
    found = next((each for each in _nodes(url) if each.node == node), None)
    if found is None:
        fail(f"no daemon called {node} has units in leases: see gatewayd ledger nodes")
    if not yes:
        click.confirm(_QUESTION.format(found=found), abort=True, err=True)
    try:
        with open_clerk(url) as clerk:
            units = clerk.release(node)
    except StoreError as error:
        fail(error)
    audited(settings, "ledger release", node=node, units=units)
    click.echo(f"{units} units of {node} are free again")
