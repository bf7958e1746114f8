"""prove: the promises, tried on this build."""

import asyncio
import secrets
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
import orjson

from gatewayd.commands.common import fail, run
from gatewayd.prove.catalogue import TRIALS, checks_of, trials_for
from gatewayd.prove.conditions import MEMORY, Conditions
from gatewayd.prove.faults import BY_NAME, FAULTS
from gatewayd.prove.findings import INDENT, Finding
from gatewayd.prove.proving import prove as carry_out
from gatewayd.stores.open import judge_addresses

_CHECKS: Final = checks_of(TRIALS)
_HIGHEST_SEED: Final = 1 << 32
_MOST_WORKERS: Final = 64
_INTERRUPTED: Final = 130
_INDENT: Final = " " * INDENT


class Counts(click.ParamType[tuple[int, ...]]):
    """Whole numbers from 1 on, separated by commas."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        numbers = tuple(int(word) if word.isascii() and word.isdecimal() else 0 for word in value.split(","))
        if not all(0 < number <= _MOST_WORKERS for number in numbers):
            self.fail(f"{value!r} is not a list of numbers from 1 to {_MOST_WORKERS}, as in 1,2,4", param, ctx)
        return numbers


@click.command(epilog="Example: gatewayd prove --check overspend --rounds 100 --seed 7")
@click.option(
    "--seed",
    type=click.IntRange(0),
    help="What chance decides, again as it was; without it, a new one. It is printed.",
)
@click.option(
    "--rounds",
    type=click.IntRange(1),
    help="How often each trial does what it does: a round is a new user, a kill or an outage. Without it, as many as "
    "take less than a minute in all.",
)
@click.option(
    "--check",
    "names",
    multiple=True,
    type=click.Choice([check.name for check in _CHECKS]),
    help="This check only; may be repeated. Without it, all of them.",
)
@click.option("--list", "listing", is_flag=True, help="Print what each check promises, and its faults; try nothing.")
@click.option(
    "--workers",
    type=Counts(),
    default="1,2,4",
    show_default=True,
    help="Worker processes of a daemon: the quotas are tried with each of these numbers, all else with the highest.",
)
@click.option("--daemons", type=click.IntRange(1, 16), default=1, show_default=True, help="How many, on one ledger.")
@click.option(
    "--ledger",
    default="",
    metavar="URL",
    help="The ledger, as ledger.url says it: a postgresql: that may be written to. Without it, new SQLite files.",
)
@click.option(
    "--counters", default=MEMORY, show_default=True, metavar="URL", help="Where rates count, as counters.url says it."
)
@click.option(
    "--sabotage",
    type=click.Choice([*BY_NAME]),
    help="Give the daemons this fault, and try the check that has to find it, in no fewer rounds than usual.",
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    help="Taken as by every command, and not read: prove makes its daemons' configuration, and leaves yours alone.",
)
def prove(
    *,
    config: Path | None,
    seed: int | None,
    rounds: int | None,
    names: tuple[str, ...],
    listing: bool,
    workers: tuple[int, ...],
    daemons: int,
    ledger: str,
    counters: str,
    sabotage: str | None,
    form: str,
) -> None:
    """Try the promises on daemons of this build, with callers and an agent of its own; exit 1 if one is broken.

    Everything that it starts, it ends; files go to a temporary directory that it deletes. Of a ledger that it is
    given it judges its own users' records only, which stay there.
    """
    del config
    if listing:
        _list()
        return
    _judge(daemons, ledger, counters)
    if sabotage is not None:
        names = names or (BY_NAME[sabotage].check,)
    with tempfile.TemporaryDirectory(prefix="gatewayd-prove-") as folder:
        conditions = Conditions(
            seed=secrets.randbelow(_HIGHEST_SEED) if seed is None else seed,
            folder=Path(folder),
            rounds=rounds,
            at_least_usual=sabotage is not None,  # chance must have room to bring the fault out
            workers=workers,
            daemons=daemons,
            ledger=ledger,
            counters=counters,
            sabotage=sabotage or "",
            announce=lambda trial: click.echo(f"trying {trial}", err=True),
        )
        if form == "text":
            click.echo(f"seed {conditions.seed}")
        found = _carry_out(conditions, names)
    _tell(found, conditions.seed, form)
    sys.exit(not all(finding.passed for finding in found))


def _judge(daemons: int, ledger: str, counters: str) -> None:
    """Raises UsageError for stores that cannot be had, or not be shared."""
    for key, fault in judge_addresses(counters, ledger or "sqlite:new").items():
        raise click.UsageError(f"--{key.partition('.')[0]}: {fault}")
    if ledger.startswith("sqlite:"):
        raise click.UsageError("--ledger: SQLite files are made anew for each trial; name a postgresql: or nothing")
    if daemons > 1 and (not ledger or counters == MEMORY):
        raise click.UsageError("several daemons share their stores: name --ledger postgresql:… and --counters redis:…")


def _carry_out(conditions: Conditions, names: Sequence[str]) -> list[Finding]:
    """Whoever interrupts it waits until everything that was started has ended."""

    async def interruptible() -> list[Finding]:
        task = asyncio.ensure_future(carry_out(trials_for(names), conditions))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        return [finding for finding in await task if not names or finding.check.name in names]

    try:
        return run(interruptible())
    except asyncio.CancelledError:
        fail("interrupted: nothing was proved", _INTERRUPTED)


def _list() -> None:
    for check in _CHECKS:
        click.echo(f"{check.name}\n{_INDENT}{check.promise}")
        for fault in FAULTS:
            if fault.check == check.name:
                click.echo(f"{_INDENT}--sabotage {fault.name}: {fault.says}")


def _tell(found: Sequence[Finding], seed: int, form: str) -> None:
    if form == "json":
        document = {"seed": seed, "checks": [_document(finding) for finding in found]}
        click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))
        return
    for finding in found:
        click.echo("\n".join(finding.lines))


def _document(finding: Finding) -> dict[str, Any]:
    return {
        "name": finding.check.name,
        "promise": finding.check.promise,
        "passed": finding.passed,
        "figures": dict(finding.counts),
        "longest_seconds": finding.longest,
        "reasons": finding.reasons,
    }
