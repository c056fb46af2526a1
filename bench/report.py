"""The tables that people read."""

from collections.abc import Sequence
from typing import Final

from bench.plan import LATENCY_SHARE_OF_THROUGHPUT
from bench.results import SETTLE, WORKLOADS, Results, Series
from bench.targets import PEER

NOTHING: Final = "-"
MARK: Final = "!"  # Stands behind a figure in whose runs something went wrong.


def show(results: Results) -> str:
    """Everything that was measured, then the machine."""
    parts = [_throughput_table(results), _latency_table(results), _remarks(results), "\n".join(results.machine.lines)]
    return "\n\n".join(part for part in parts if part)


def show_comparison(now: Results, before: Results) -> str:
    """The throughput now as a multiple of an earlier session's."""
    rows = [["now / before", *now.targets]]
    for workload in WORKLOADS:
        pairs = [(now.find(workload, target), before.find(workload, target)) for target in now.targets]
        rows.append([workload, *(_ratio(new, old) for new, old in pairs)])
    return f"{align(rows)}\n\nbefore: {'; '.join(before.machine.lines)}"


def _throughput_table(results: Results) -> str:
    ours = [target for target in results.targets if target != PEER]
    compared = ours if PEER in results.targets else []
    rows = [["per second", *results.targets, *(f"{target} / {PEER}" for target in compared)]]
    for workload in WORKLOADS:
        peer = results.find(workload, PEER)
        figures = [_figure(results.find(workload, target)) for target in results.targets]
        rows.append([workload, *figures, *(_ratio(results.find(workload, target), peer) for target in compared)])
    return align(rows)


def _latency_table(results: Results) -> str:
    share = f"{LATENCY_SHARE_OF_THROUGHPUT:.0%}"
    rows = [[f"create at {share}, ms", "per second", "p50", "p95", "p99"]]
    for series in results.latency:
        middle = sorted(series.runs, key=lambda run: run.latency_ms["p99"])[len(series.runs) // 2]
        figures = [f"{middle.latency_ms[percentile]:.1f}" for percentile in ("p50", "p95", "p99")]
        rows.append([series.target, f"{series.median:,.0f}{MARK if series.errors else ''}", *figures])
    return align(rows)


def _remarks(results: Results) -> str:
    """Say what went wrong, and how payments ended: a payment that failed is settled too."""
    remarks = []
    for series in [*results.throughput, *results.latency]:
        if series.errors:
            remarks.append(f"{MARK} {series.workload} on {series.target}: {_counted(series.errors)}")
        if series.workload == SETTLE:
            remarks.append(f"{series.workload} on {series.target}: {_counted(series.counts)}")
    return "\n".join(remarks)


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {kind}" for kind, number in counts.items()) or "nothing"


def _figure(series: Series | None) -> str:
    if series is None:
        return NOTHING
    speeds = [run.per_second for run in series.runs]
    spread = f" ({min(speeds):,.0f}-{max(speeds):,.0f})" if len(speeds) > 1 else ""
    return f"{series.median:,.0f}{spread}{MARK if series.errors else ''}"


def _ratio(series: Series | None, other: Series | None) -> str:
    if series is None or other is None or not other.median:
        return NOTHING
    return f"x{series.median / other.median:.2f}"


def align(rows: Sequence[Sequence[str]]) -> str:
    """Put columns below each other: the first to the left, figures to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for first, *others in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        lines.append("  ".join(cells))
    return "\n".join(lines)
