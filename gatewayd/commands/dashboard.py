"""The overview as a terminal shows it. What callers chose is text here, and never markup or an escape sequence."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gatewayd.admin.wording import number, printable, rate, seconds, share

Overview = Mapping[str, Any]

_BARS: Final = "▁▂▃▄▅▆▇█"
_MARKS: Final = {"good": ("●", "green"), "warning": ("▲", "yellow"), "bad": ("■", "red")}
_STATES: Final = {"up": "good", "failing": "warning", "down": "bad"}
_POINTS: Final = 16
_MOST_ERRORS: Final = 8
_NEAR: Final = 0.8
_WIDE: Final = 120  # columns in which there is room for all of it


def dashboard(overview: Overview, width: int) -> RenderableType:
    """All of it, on a terminal that has so many columns."""
    wide = width >= _WIDE
    refusals, nearest = _refusals(overview["refusals"]), _nearest(overview["nearest"])
    return Group(
        _verdict(overview),
        *(_figures(overview)),
        _agents(overview["agents"], wide=wide),
        _beside(refusals, nearest) if wide else Group(refusals, Text(), nearest, Text()),
        _errors([*overview["failures"], *overview["refused"]], wide=wide),
    )


def _text(value: object, style: str = "") -> Text:
    return Text(printable(str(value)), style)


def _verdict(overview: Overview) -> RenderableType:
    verdict = overview["verdict"]
    mark, colour = _MARKS[verdict["level"]]
    lines = [Text.assemble((f"{mark} ", colour), (printable(verdict["sentence"]), f"bold {colour}"))]
    if verdict["cause"]:
        lines.append(_text(f"  {verdict['cause']}"))
    return Group(*lines, Text())


def _figures(overview: Overview) -> Iterator[RenderableType]:
    """Two rows of names with their figures below."""
    lately, status, ledger = overview["lately"], overview["status"], overview["ledger"]
    yield _row(
        ("rate", f"{rate(lately['rate'])}/s"),
        ("gateway p95", seconds(lately["own_p95"])),
        ("agents p95", seconds(lately["agents_p95"])),
        ("failed", share(lately["failed_share"])),
        ("in flight", number(overview["in_flight"])),
    )
    yield _row(
        ("requests", number(overview["ended"]["requests"])),
        ("ledger", "up" if ledger["up"] else "away"),
        ("pending", number(ledger["pending"])),
        ("drift", number(ledger["drift"])),
        ("generation", number(status["generation"])),
    )


def _row(*figures: tuple[str, str]) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    for _ in figures:
        grid.add_column(width=12, no_wrap=True)
    grid.add_row(*(Text(name, "dim") for name, _ in figures))
    grid.add_row(*(Text(value, "bold") for _, value in figures))
    return Group(grid, Text())


def _agents(agents: Sequence[Mapping[str, Any]], *, wide: bool) -> RenderableType:
    table = _table(("agent", "state"), (), wide=wide)
    if wide:
        table.add_column("5 minutes", no_wrap=True, min_width=_POINTS)
    _add_figures(table, ("rate/s", "p95", "in flight", "timeouts", "failed", "requests"))
    for each in agents:
        lately = each["lately"]
        table.add_row(
            _text(each["name"], "bold"),
            _state(each, wide=wide),
            *([Text(sparks([point[0] for point in each["series"]]), "cyan")] if wide else []),
            rate(lately["rate"]),
            seconds(lately["p95"]),
            number(each["in_flight"]),
            Text(number(each["timeouts"]), "red" if lately["timeouts"] else ""),
            Text(number(each["failed"]), "red" if lately["failed"] else ""),
            number(each["requests"]),
        )
    return Group(table, Text())


def _state(agent: Mapping[str, Any], *, wide: bool) -> Text:
    mark, colour = _MARKS.get(_STATES.get(agent["state"], ""), ("○", "dim"))
    since = f" {agent['since'][11:19]}" if agent["since"] else ""
    cause = f" {agent['cause']}" if agent["cause"] else ""
    return Text.assemble((f"{mark} {agent['state']}", colour), (f"{since}{cause}" if wide else "", "dim"))


def sparks(values: Sequence[float]) -> str:
    """The last values as a row of bars, the highest one full."""
    shown = values[-_POINTS:]
    top = max(shown, default=0.0)
    if not top:
        return _BARS[0] * len(shown)
    return "".join(_BARS[min(len(_BARS) - 1, int(value / top * (len(_BARS) - 1) + 0.5))] for value in shown)


def _refusals(refusals: Iterable[Mapping[str, Any]]) -> Table:
    table = _table(("refused for",), ("last minute", "total"), wide=True)
    for each in refusals:
        table.add_row(_text(each["code"]), number(each["lately"]), number(each["total"]))
    return table


def _nearest(nearest: Mapping[str, Any]) -> Table:
    table = _table(("user nearest to a limit", "unit"), ("used", "of", ""), wide=True)
    for each in nearest["users"]:
        used = each["spent"] + each["held"]
        full = "red" if each["share"] >= 1 else "yellow" if each["share"] >= _NEAR else ""
        user = _text(each["user"] or "(nobody)")
        table.add_row(user, _text(each["unit"]), number(used), number(each["limit"]), Text(share(each["share"]), full))
    if nearest["fault"]:
        table.add_row(_text(nearest["fault"], "red"))
    return table


def _errors(sightings: Sequence[Mapping[str, Any]], *, wide: bool) -> Table:
    """The newest first; a request id is always whole, to be searched for."""
    table = _table((), (), wide=wide)
    table.add_column("errors, UTC", no_wrap=True, min_width=12)
    table.add_column("", no_wrap=True, min_width=16)
    for name in ("agent", "caller") if wide else ("caller",):
        table.add_column(name, overflow="ellipsis")
    table.add_column("request id", no_wrap=True, min_width=32)
    for each in sorted(sightings, key=lambda each: str(each["request_id"]), reverse=True)[:_MOST_ERRORS]:
        colour = "red" if each["status"] >= 500 else "yellow"
        table.add_row(
            Text.assemble(each["time"][11:19], " ", (str(each["status"]), colour)),
            _text(each["code"] or "the agent's own"),
            *([_text(each["route"] or "no route")] if wide else []),
            _text(each["user"] or each["client"]),
            Text(each["request_id"], "dim"),
        )
    return table


def _table(words: Sequence[str], figures: Sequence[str], *, wide: bool) -> Table:
    padding = (0, 2, 0, 0) if wide else (0, 1, 0, 0)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=padding, header_style="dim", show_edge=False)
    for name in words:
        table.add_column(name, overflow="ellipsis")
    _add_figures(table, figures)
    return table


def _add_figures(table: Table, names: Sequence[str]) -> None:
    for name in names:
        table.add_column(name, justify="right", no_wrap=True, min_width=max(6, len(name)))


def _beside(left: Table, right: Table) -> RenderableType:
    grid = Table.grid(padding=(0, 4))
    grid.add_row(left, right)
    return Group(grid, Text())


def summary(overview: Overview) -> str:
    """The verdict alone, on a line."""
    verdict = overview["verdict"]
    cause = f" {verdict['cause']}" if verdict["cause"] else ""
    return printable(f"{verdict['sentence']}{cause}")
