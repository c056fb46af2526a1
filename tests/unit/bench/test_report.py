"""The computed figures of the report, and where they are written."""

from pathlib import Path

import pytest

from bench.memory import growth_a_minute
from bench.profiling import read_profile
from bench.report import BEGIN, END, show_comparison, write_into
from bench.results import PER_SECOND, Figure, Findings, Goal, Results, Run, Section, load, percentiles, save
from bench.subjects import LIMIT, NOT_DISTRIBUTED, PEER, POSTGRESQL, SQLITE, distributed
from bench.throughput import CREATE, times_the_peer
from tests.unit.bench.session import MACHINE, PLAN


def test_percentiles_are_of_the_nearest_rank() -> None:
    assert percentiles([float(number) for number in range(1000, 0, -1)]) == {
        "p50": 501.0,
        "p90": 901.0,
        "p99": 991.0,
        "p99.9": 1000.0,
    }


def test_growth_is_the_slope_after_the_warm_up() -> None:
    warming_up = [(0.0, 10.0), (60.0, 90.0)]
    steady = [(120.0 + 60 * minute, 100.0 + 2 * minute) for minute in range(8)]
    assert growth_a_minute(warming_up + steady) == pytest.approx(2.0)


def test_a_bound_holds_from_its_own_side() -> None:
    ratio = Goal(what="create", subject="SQLite", unit="%", reached=60, bound=60, at_least=True)
    delay = Goal(what="pay", subject="SQLite", unit="ms", reached=20.1, bound=20)
    assert (ratio.met, delay.met) == (True, False)


def test_a_target_is_how_many_times_as_fast_as_the_peer_each_database_is() -> None:
    figures = [
        Figure(CREATE, name, PER_SECOND, [Run(value=value)])
        for name, value in ((SQLITE, 550.0), (POSTGRESQL, 550.0), (PEER, 100.0), (LIMIT, 2000.0))
    ]
    goals = times_the_peer(figures)
    assert [(goal.subject, goal.reached, goal.met) for goal in goals] == [(SQLITE, 5.5, False), (POSTGRESQL, 5.5, True)]
    assert times_the_peer(figures[:2]) == []


def test_a_profile_counts_a_function_itself_and_not_what_it_calls() -> None:
    server, writer = 'process 1:"python -c import a; main(1)"', 'process 2:"python -c import a; main(1)"'
    profile = read_profile(
        f"{server};thread (1): MainThread;run (a);send (b) 5\n"
        f'{server};thread (3): "reader";run (a) 2\n'
        f"{server};{writer};thread (2): MainThread;run (a);main (c) 3\n"
    )
    assert [(share.what, share.percent) for share in profile.threads] == [
        ("event loop", 50.0),
        ("writer", 30.0),
        ("reader", 20.0),
    ]
    assert [(share.what, share.percent) for share in profile.functions] == [
        ("send (b)", 50.0),
        ("main (c)", 30.0),
        ("run (a)", 20.0),
    ]


def test_figures_take_the_place_of_the_earlier_ones_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_into(page, results(1000), ["performance-latency.svg"])
    write_into(page, results(2000), [])
    text = page.read_text()
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"\n{END}\nafter\n")
    assert "2,000" in text
    assert "1,000" not in text
    assert "old" not in text


def test_a_page_without_a_place_for_figures_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text("nothing")
    with pytest.raises(ValueError, match="no place for figures"):
        write_into(page, results(1000), [])


def test_results_are_compared_with_those_that_were_kept(tmp_path: Path) -> None:
    save(results(1000), tmp_path / "kept.json")
    assert "×1.50" in show_comparison(results(1500), load(tmp_path / "kept.json"))


def test_what_is_distributed_is_shown_with_its_share_of_what_is_not(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"{BEGIN}\n{END}\n")
    write_into(page, results(3000, subject=NOT_DISTRIBUTED, also={distributed(4): 1500.0}), [])
    row = next(line for line in page.read_text().splitlines() if "Citus, 4 shards" in line)
    assert [cell.strip() for cell in row.strip("|").split("|")] == ["Citus, 4 shards", "1,500", "50 %"]


def results(per_second: float, *, subject: str = "SQLite", also: dict[str, float] | None = None) -> Results:
    values = {subject: per_second, **(also or {})}
    figures = [Figure("create", name, PER_SECOND, [Run(value=value)]) for name, value in values.items()]
    return Results(MACHINE, PLAN, {"create": Section(commit="abc", load_before=0, findings=Findings(figures))})
