"""`python -m tests.bench`: measure what is named, or all there is."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench.catalogue import BENCHES, RATIOS
from tests.bench.declare import Bench
from tests.bench.run import run, to_stderr


def main(arguments: Sequence[str] | None = None, benches: Sequence[Bench] = BENCHES) -> int:
    """The exit status: 1 if a bench broke. A peer that is not installed is said in the table, and no fault."""
    asked = _parser().parse_args(arguments)
    chosen = named(asked.names, benches)
    if asked.list:
        print("\n".join(f"{each.name}.{one.name}: {one.what}" for each in chosen for one in each.figures))
        return 0
    if not chosen:
        print(f"no bench has such a name; there are: {', '.join(each.name for each in benches)}", file=sys.stderr)
        return 2
    report = run(chosen, RATIOS, rounds=asked.rounds, scale=asked.scale, say=to_stderr)
    document = json.dumps(report.document(), indent=2, ensure_ascii=False)
    print(document if asked.format == "json" else report.table())
    if asked.output is not None:
        asked.output.parent.mkdir(parents=True, exist_ok=True)
        asked.output.write_text(document + "\n")
    for name, why in report.failures.items():
        print(f"{name}: {why}", file=sys.stderr)
    return 1 if report.failures else 0


def named(names: Sequence[str], benches: Sequence[Bench]) -> list[Bench]:
    """Those with one of these names, or in a group with one of them; all if none is given."""
    return [each for each in benches if not names or any(f"{each.name}.".startswith(f"{name}.") for name in names)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", help="benches or groups of them: money, money.counters")
    parser.add_argument("--list", action="store_true", help="say what there is to measure, and measure nothing")
    parser.add_argument("--format", choices=("table", "json"), default="table", help="how to print the figures")
    parser.add_argument("--rounds", type=_count, default=5, help="how often each is measured, in turns (5)")
    parser.add_argument("--scale", type=_share, default=1.0, help="the share of a round's work to do, for a quick look")
    parser.add_argument("--output", type=Path, metavar="FILE", help="a file to write the JSON into as well")
    return parser


def _count(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("there is no run with less than one round")
    return number


def _share(text: str) -> float:
    if not 0 < (share := float(text)) <= 1:
        raise argparse.ArgumentTypeError("a share of the work is more than 0 and at most 1")
    return share


if __name__ == "__main__":
    sys.exit(main())
