"""The frame of the benches: what it makes of figures, and that it measures in turns and ends what it started."""

import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.bench import __main__ as command
from tests.bench import catalogue
from tests.bench.declare import (
    AsyncRound,
    Bench,
    Figure,
    Measured,
    Ratio,
    Round,
    Target,
    Unavailable,
    at_least,
    at_most,
    on_a_loop,
)
from tests.bench.report import Report, Series, number, ratios, series
from tests.bench.run import run

COST = Figure("cost", "µs", "what it costs", at_most(6))


def one(*values: float, name: str = "a.cost", figure: Figure = COST) -> Series:
    return Series(name, figure.unit, figure.what, figure.target, values)


@contextmanager
def diary(scale: float, *, name: str, path: Path) -> Iterator[Round]:
    """Writes down what happens to it."""

    def note(what: str) -> None:
        with path.open("a") as file:
            file.write(f"{name} {what}\n")

    def measure() -> Measured:
        note("round")
        return {"cost": scale, "process": os.getpid()}

    note("opened")
    try:
        yield measure
    finally:
        note("closed")


@on_a_loop
@asynccontextmanager
async def on_loop(scale: float) -> AsyncIterator[AsyncRound]:
    async def measure() -> Measured:
        return {"cost": scale * 8}

    yield measure


@contextmanager
def broken(scale: float, *, how: str) -> Iterator[Round]:
    if how == "missing":
        raise Unavailable("nginx is not installed")

    def measure() -> Measured:
        if how == "raises":
            raise ValueError("it broke")
        if how == "dies":
            os._exit(1)
        return {"other": 1.0}

    yield measure


def bench(name: str, path: Path) -> Bench:
    return Bench(name, (COST, Figure("process", "", "")), partial(diary, name=name, path=path))


def measured(*benches: Bench, rounds: int = 1, scale: float = 1.0, declared: tuple[Ratio, ...] = ()) -> Report:
    return run(benches, declared, rounds=rounds, scale=scale, say=lambda _: None)


def test_a_figure_is_the_median_and_its_spread_that_of_the_middle_half() -> None:
    found = one(4.0, 5.0, 100.0, 6.0, 5.0)
    assert found.figure == 5.0
    assert found.spread == pytest.approx(0.2)
    assert one(7.0).spread == one(0.0, 0.0).spread == 0.0


@pytest.mark.parametrize(
    ("target", "value", "met"),
    [
        pytest.param(at_most(6), 6.0, True, id="at most, reached"),
        pytest.param(at_most(6), 6.1, False, id="at most, missed"),
        pytest.param(at_least(10), 10.0, True, id="at least, reached"),
        pytest.param(at_least(10), 9.9, False, id="at least, missed"),
    ],
)
def test_a_target_is_met_at_its_bound(target: Target, value: float, met: bool) -> None:
    found = one(value, figure=Figure("cost", "µs", "", target))
    assert found.met is met
    assert one(1.0, figure=Figure("cost", "µs", "")).met is None


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.1234, "0.123"), (5.678, "5.68"), (56.78, "56.8"), (567.8, "568"), (20_000.4, "20,000")],
    ids=str,
)
def test_a_number_has_three_digits_that_say_something(value: float, text: str) -> None:
    assert number(value) == text


def test_a_ratio_is_of_the_same_round_so_that_a_drift_drops_out() -> None:
    declared = (Ratio("a to b", "", "a.cost", "b.cost", at_most(2)), Ratio("a to c", "", "a.cost", "c.cost"))
    (found,) = ratios(declared, [one(2.0, 20.0), one(1.0, 10.0, name="b.cost")])
    assert found.values == (2.0, 2.0)
    assert (found.name, found.unit, found.met) == ("a to b", "×", True)
    assert ratios(declared[:1], [one(1.0), one(0.0, name="b.cost")])[0].figure == float("inf")


def test_the_table_says_what_was_missed_and_what_was_not_measured() -> None:
    report = Report({"cpu": "a fast one"}, 0.5, [one(7.0, 7.5, 8.0)], {"b": "Traceback\nValueError: it broke"})
    heading, rule, row, *rest = report.table().splitlines()
    assert heading.split() == ["name", "figure", "unit", "spread", "lowest", "highest", "target", "met"]
    assert set(rule) == {"-", " "}
    assert row.split() == ["a.cost", "7.50", "µs", "7%", "7.00", "8.00", "≤", "6", "NO"]
    assert rest[0] == "b: not measured: ValueError: it broke"
    assert "only 0.5 of the work" in rest[1]
    assert rest[2] == "cpu a fast one"


def test_the_document_has_every_round() -> None:
    report = Report({"cores": 2}, 1.0, [one(5.0, 7.0)], {})
    found = json.loads(json.dumps(report.document()))
    assert found["machine"] == {"cores": 2}
    (figure,) = found["figures"]
    assert figure["values"] == [5.0, 7.0]
    assert (figure["figure"], figure["unit"], figure["target"], figure["met"]) == (6.0, "µs", "≤ 6", True)


def test_benches_are_measured_in_turns_each_in_a_process_of_its_own_and_closed(tmp_path: Path) -> None:
    path = tmp_path / "diary"
    report = measured(bench("a", path), bench("b", path), rounds=2, scale=0.5)
    assert path.read_text().splitlines()[:6] == ["a opened", "b opened", "a round", "b round", "a round", "b round"]
    assert sorted(path.read_text().splitlines()[6:]) == ["a closed", "b closed"]
    by_name = {each.name: each.values for each in report.series}
    assert by_name["a.cost"] == (0.5, 0.5)
    processes = {*by_name["a.process"], *by_name["b.process"], float(os.getpid())}
    assert len(processes) == 3


def test_a_bench_may_be_written_with_async() -> None:
    (found,) = measured(Bench("a", (COST,), on_loop)).series
    assert found.values == (8.0,)


def test_a_bench_that_fails_is_reported_and_stops_no_other(tmp_path: Path) -> None:
    whys = {"raises": "ValueError: it broke", "dies": "its process died", "other": "declared and not measured"}
    failing = [Bench(how, (COST,), partial(broken, how=how)) for how in whys]
    report = measured(*failing, bench("good", tmp_path / "diary"))
    assert all(why in report.failures[how] for how, why in whys.items())
    assert {each.name for each in report.series} == {"good.cost", "good.process"}


def test_a_peer_that_is_not_installed_is_named_and_no_failure() -> None:
    report = measured(Bench("beside", (COST,), partial(broken, how="missing")))
    assert (report.failures, report.absent) == ({}, {"beside": "nginx is not installed"})
    assert "beside: not measured: nginx is not installed" in report.table()
    assert report.document()["absent"] == report.absent


def test_the_command_prints_a_table_and_writes_the_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    benches = [bench("money.a", tmp_path / "diary"), bench("other", tmp_path / "diary")]
    file = tmp_path / "new" / "bench.json"
    assert command.main(["money", "--rounds", "1", "--output", str(file)], benches) == 0
    assert "money.a.cost" in capsys.readouterr().out
    assert [each["name"] for each in json.loads(file.read_text())["figures"]] == ["money.a.cost", "money.a.process"]
    assert command.main(["money.a", "--rounds", "1", "--format", "json"], benches) == 0
    assert json.loads(capsys.readouterr().out)["failures"] == {}


def test_the_command_says_what_there_is_when_a_name_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["mony"]) == 2
    assert "money.hot_path" in capsys.readouterr().err
    assert command.main(["money.hot_path", "--list"]) == 0
    assert capsys.readouterr().out.startswith("money.hot_path.whole: ")


@pytest.mark.parametrize("arguments", [["--rounds", "0"], ["--scale", "0"], ["--scale", "2"]], ids=" ".join)
def test_the_command_refuses_runs_that_measure_nothing(arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(arguments)


def test_every_figure_has_a_name_of_its_own_and_every_ratio_its_two_figures() -> None:
    names = [each.name for each in series(catalogue.BENCHES, {b.name: [_ones(b)] for b in catalogue.BENCHES})]
    assert len(names) == len({*names})
    assert {name for ratio in catalogue.RATIOS for name in (ratio.of, ratio.to)} <= {*names}


def _ones(of: Bench) -> Measured:
    return {figure.name: 1.0 for figure in of.figures}


SERVERS = ("money.shipping.postgres", "money.counters.redis", "money.disk")


def one_of_each_kind() -> list[Bench]:
    """Those that need nothing `make test` does not bring; of those that are opened alike, the first one."""
    kinds: dict[object, Bench] = {}
    for each in catalogue.BENCHES:
        if each.peer is None and not each.name.startswith(SERVERS):
            kinds.setdefault(each.open.func if isinstance(each.open, partial) else each.open, each)
    return list(kinds.values())


@pytest.mark.parametrize("each", one_of_each_kind(), ids=lambda bench: bench.name)
def test_a_bench_measures_what_it_declares(each: Bench) -> None:
    cores = os.sched_getaffinity(0)
    try:
        with each.open(0.001) as measure:
            assert {figure.name for figure in each.figures} == {*json.loads(json.dumps(dict(measure())))}
    finally:
        os.sched_setaffinity(0, cores)
