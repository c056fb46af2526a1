"""The report in Markdown: printed on the terminal, and written between two markers in docs/performance.md."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.results import PER_SECOND, Figure, Goal, Profile, Results
from bench.subjects import LIMIT, NOT_DISTRIBUTED, PEER, POSTGRESQL, SQLITE

NOTHING: Final = "–"
MARK: Final = "!"  # Marks a figure whose runs had errors.
BEGIN: Final = "<!-- figures: written by make bench -->"
END: Final = "<!-- end of figures -->"
SUBJECTS: Final = (SQLITE, POSTGRESQL, PEER, LIMIT)
CALLS_OF_PROFILE: Final = 12


def show(results: Results) -> str:
    """Show all measurements, with the targets first and the machine last."""
    parts = [
        _goals(results.goals),
        _throughput(results),
        _distributed(results),
        _latencies(results),
        _others(results),
        *(_profile(one.findings.profile) for one in results.sections.values() if one.findings.profile),
        "\n".join(_remarks(results)),
    ]
    return "\n\n".join(part for part in parts if part)


def write_into(page: Path, results: Results, pictures: Sequence[str]) -> None:
    """Replace the figures and pictures in a page. Raises ValueError if the page has no markers."""
    text = page.read_text()
    before, found, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        message = f"{page.name} has no place for figures: {BEGIN} … {END}"
        raise ValueError(message)
    shown = "\n\n".join([show(results), *(f"![{Path(name).stem.replace('-', ': ')}]({name})" for name in pictures)])
    page.write_text(f"{before}{BEGIN}\n{shown}\n{END}{after}")


def show_comparison(now: Results, before: Results) -> str:
    """Show all measurements that both sessions have, as multiples of the earlier ones."""
    rows = [["now / before", "subject", "before", "now", "ratio"]]
    for figure in now.figures:
        earlier = before.find(figure.what, figure.subject)
        if earlier is not None and earlier.median:
            rows.append(_compared(f"{figure.what}, {figure.unit}", figure.subject, earlier.median, figure.median))
    earlier_ms = {(one.what, one.subject, one.share): one.ms for one in before.latencies}
    for one in now.latencies:
        ms = earlier_ms.get((one.what, one.subject, one.share), {})
        rows += [
            _compared(
                f"{one.what} at {one.share:.0%}, {percentile}, ms", one.subject, ms[percentile], one.ms[percentile]
            )
            for percentile in ("p50", "p99")
            if ms.get(percentile)
        ]
    return f"{table(rows)}\n\nBefore: {' '.join(before.machine.lines)}"


def _compared(what: str, subject: str, before: float, now: float) -> list[str]:
    return [what, subject, number(before), number(now), f"×{now / before:.2f}"]


def _goals(goals: Sequence[Goal]) -> str:
    rows = [["target", "subject", "required", "measured", "met"]]
    rows += [
        [
            goal.what,
            goal.subject,
            f"{'≥' if goal.at_least else '≤'} {number(goal.bound)} {goal.unit}".rstrip(),
            f"{number(goal.reached)} {goal.unit}".rstrip(),
            "✓" if goal.met else "✗",
        ]
        for goal in goals
    ]
    return table(rows) if goals else ""


def _throughput(results: Results) -> str:
    figures = [one for one in results.figures if one.unit == PER_SECOND]
    subjects = [name for name in SUBJECTS if any(one.subject == name for one in figures)]
    compared = [name for name in subjects if name not in (PEER, LIMIT)] if PEER in subjects else []
    rows = [["per second, median (lowest–highest)", *subjects, *(f"{name} / {PEER}" for name in compared)]]
    for what in dict.fromkeys(one.what for one in figures if one.subject in SUBJECTS):
        peer = results.find(what, PEER)
        shown = [_shown(results.find(what, name)) for name in subjects]
        rows.append([what, *shown, *(_ratio(results.find(what, name), peer) for name in compared)])
    return table(rows) if subjects else ""


def _distributed(results: Results) -> str:
    """Show what each number of shards does, and its share of the database that is not distributed."""
    figures = [one for one in results.figures if one.unit == PER_SECOND and one.subject not in SUBJECTS]
    whats = list(dict.fromkeys(one.what for one in figures))
    rows = [["per second, median (lowest–highest)", *(cell for what in whats for cell in (what, "share"))]]
    for name in dict.fromkeys(one.subject for one in figures):
        row = [name]
        for what in whats:
            figure, plain = results.find(what, name), results.find(what, NOT_DISTRIBUTED)
            row += [_shown(figure), f"{100 * figure.median / plain.median:.0f} %" if figure and plain else NOTHING]
        rows.append(row)
    return table(rows) if figures else ""


def _latencies(results: Results) -> str:
    rows = [
        ["latency at a fixed rate, ms", "subject", "per second", "p50", "p90", "p99", "p99.9", "generator delay, p99"]
    ]
    rows += [
        [
            f"{one.what} at {one.share:.0%}{' (without the provider)' if one.what == 'pay' else ''}",
            one.subject,
            f"{one.per_second:,.0f}{MARK if one.errors else ''}",
            *(f"{value:,.1f}" for value in [*one.ms.values(), one.late_ms]),
        ]
        for one in results.latencies
    ]
    return table(rows) if results.latencies else ""


def _others(results: Results) -> str:
    others = [one for one in results.figures if one.unit != PER_SECOND]
    rows = [["measurement", "subject", "median (lowest–highest)"]]
    rows += [[one.what, one.subject, f"{_shown(one)} {one.unit}"] for one in others]
    return table(rows) if others else ""


def _profile(profile: Profile) -> str:
    threads = ", ".join(f"{share.what} {share.percent:.0f} %" for share in profile.threads)
    rows = [["function, without the functions that it calls (creates on SQLite)", "share of interpreter time"]]
    rows += [[f"`{share.what}`", f"{share.percent:.1f} %"] for share in profile.functions[:CALLS_OF_PROFILE]]
    return f"Interpreter time by thread: {threads}.\n\n{table(rows)}"


def _remarks(results: Results) -> list[str]:
    """List failures, the outcomes of payments, and the machine."""
    remarks = []
    machine = results.machine
    for name, section in results.sections.items():
        if section.failure:
            remarks.append(f"**{name} failed: {section.failure}**")
        if section.commit != machine.commit or (
            machine.is_busy(section.load_before) and not machine.is_busy(machine.load_before)
        ):
            remarks.append(f"{name} was measured at {section.commit}, load {section.load_before:.1f}.")
        remarks += section.findings.notes
    for one in results.measured:
        if one.errors:
            remarks.append(
                f"{MARK} {one.what} on {one.subject}: {', '.join(f'{n:,} {kind}' for kind, n in one.errors.items())}."
            )
    if results.measured and not any(one.errors for one in results.measured):
        remarks.append("No request failed.")
    return remarks + machine.lines


def _shown(figure: Figure | None) -> str:
    if figure is None:
        return NOTHING
    values = [run.value for run in figure.runs]
    spread = f" ({number(min(values))}–{number(max(values))})" if len(values) > 1 else ""
    return f"{number(figure.median)}{spread}{MARK if figure.errors else ''}"


def _ratio(figure: Figure | None, other: Figure | None) -> str:
    if figure is None or other is None or not other.median:
        return NOTHING
    return f"×{figure.median / other.median:.1f}"


def number(value: float) -> str:
    """Format a number with its significant digits."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Build a Markdown table with aligned columns, so that it is readable as text too."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [f"| {' | '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))} |" for row in rows]
    return "\n".join([lines[0], f"| {' | '.join('-' * max(3, width) for width in widths)} |", *lines[1:]])
