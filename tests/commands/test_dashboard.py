"""The overview in a terminal: readable in 80 columns, and nothing in it is a caller's markup or escape sequence."""

import io

import pytest
from rich.console import Console

from gatewayd.admin.counts import Counts, RouteCounts
from gatewayd.admin.states import AgentState
from gatewayd.admin.usage import Nearest
from gatewayd.commands.dashboard import Overview, dashboard, sparks, summary
from tests.admin.overviews import UTC, document, near, sighting

NOW = Counts(60.0, {"email": RouteCounts(1234, 10, 5)}, {"rate_limited": 10}, {("email", "upstream_timeout", 504): 3})


def busy() -> Overview:
    return document(
        now=NOW,
        lately=NOW,
        states={"email": AgentState("down", UTC, "cannot be reached")},
        failures=[sighting("01a228a65ac091ccf7721e9c26c66525")],
        nearest=Nearest(UTC, [near("ann", 9, 10), near("bob", 10, 10)]),
        series={"email": [(float(value), 0.0) for value in range(20)]},
        in_flight={"email": 7},
    )


def drawn(overview: Overview, width: int, *, colour: bool = False) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=colour, color_system="truecolor" if colour else None)
    console.print(dashboard(overview, width))
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_all_that_the_contract_names_is_there_in_any_width(width: int) -> None:
    text = drawn(busy(), width)
    assert all(len(line) <= width for line in text.splitlines())
    for words in ("email cannot be reached, since 16:00:00 UTC.", "rate", "gateway p95", "agents p95", "in flight"):
        assert words in text
    for words in ("20.6/s", "down", "1,234", "rate_limited", "ann", "90 %", "100 %", "bob", "upstream_connect"):
        assert words in text, words
    assert "01a228a65ac091ccf7721e9c26c66525" in text


def test_a_wide_terminal_shows_the_last_minutes_and_why_an_agent_is_down() -> None:
    assert "▆▆▇▇▇██" in drawn(busy(), 140)
    assert "since" in drawn(busy(), 140)
    assert "▆▆▇▇▇██" not in drawn(busy(), 80)


def test_what_callers_chose_is_text() -> None:
    hostile = "[red]\x1b[2J\x1b]0;title\x07ann[/red]"
    overview = document(
        failures=[sighting(user=hostile)],
        nearest=Nearest(UTC, [near(hostile)], "ledger \x1b[31m"),
        states={"email": AgentState("down", UTC, "breaks off")},
    )
    text = drawn(overview, 200)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[red]�[2J�]0;title�ann[/red]" in text
    assert "\x1b" not in summary(overview)


def test_colours_say_nothing_that_words_do_not() -> None:
    plain = drawn(busy(), 120)
    assert "\x1b" not in plain
    assert "\x1b[" in drawn(busy(), 120, colour=True)
    assert "■ down" in plain


def test_a_row_of_bars_is_as_high_as_its_highest() -> None:
    assert sparks([0, 1, 2, 4]) == "▁▃▅█"
    assert sparks([0, 0]) == "▁▁"
    assert sparks([]) == ""
    assert len(sparks([1.0] * 100)) == 16


def test_the_verdict_alone_is_one_line() -> None:
    assert summary(document()) == "Serving; nobody called in the last minute."
    assert "\n" not in summary(busy())
