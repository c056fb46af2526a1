"""Charts of throughput and latency, as SVG and PNG."""

from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure as Picture
from matplotlib.lines import Line2D

from bench.plan import SHARES
from bench.results import PER_SECOND, PERCENTILES, Results
from bench.subjects import LIMIT, PEER, POSTGRESQL, SQLITE

COLOURS: Final = {SQLITE: "#0b6e4f", POSTGRESQL: "#2b5c9e", PEER: "#c2703d", LIMIT: "#9a9a9a"}
STYLES: Final = dict(zip(SHARES, (":", "-", "--"), strict=True))
INCHES: Final = {"width": 9.0, "height": 3.2}
DPI: Final = 110
LEAST_MS: Final = 0.1  # A logarithmic axis cannot show zero.

# Text is kept as text, so that files are small and reproducible.
mpl.rcParams.update(
    {
        "svg.fonttype": "none",
        "svg.hashsalt": "paidonce",
        "font.size": 8,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
)


def draw(results: Results, folder: Path) -> list[str]:
    """Draw the charts into ``folder``; returns the names of the SVG files."""
    drawn = []
    for name, picture in (("performance-throughput", _throughput(results)), ("performance-latency", _latency(results))):
        if picture is not None:
            picture.savefig(folder / f"{name}.svg", metadata={"Date": None})
            picture.savefig(folder / f"{name}.png", dpi=DPI, metadata={"Software": None})
            drawn.append(f"{name}.svg")
    return drawn


def _throughput(results: Results) -> Picture | None:
    figures = [one for one in results.figures if one.unit == PER_SECOND and one.subject in COLOURS]
    kinds = list(dict.fromkeys(one.what for one in figures))
    if not kinds:
        return None
    picture = Picture(figsize=(INCHES["width"], INCHES["height"]), layout="constrained")
    for axes, what in zip(_panels(picture, len(kinds)), kinds, strict=True):
        theirs = [one for one in figures if one.what == what]
        bars = axes.bar(
            [one.subject for one in theirs],
            [one.median for one in theirs],
            color=[COLOURS[one.subject] for one in theirs],
        )
        axes.bar_label(bars, fmt="{:,.0f}", fontsize=7)
        axes.set_title(f"{what}, per second")
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="x", rotation=30, length=0)
    return picture


def _latency(results: Results) -> Picture | None:
    kinds = list(dict.fromkeys(one.what for one in results.latencies))
    if not kinds:
        return None
    picture = Picture(figsize=(INCHES["width"], INCHES["height"]), layout="constrained")
    for axes, what in zip(_panels(picture, len(kinds), same_scale=True), kinds, strict=True):
        for one in results.latencies:
            if one.what == what:
                values = [max(one.ms[percentile], LEAST_MS) for percentile in PERCENTILES]
                style = STYLES.get(one.share, "-")
                axes.plot(list(PERCENTILES), values, style, marker=".", color=COLOURS[one.subject])
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.grid(axis="y", alpha=0.3)
        axes.set_title(f"{what}, ms{' beyond the provider' if what == 'pay' else ''}")
    subjects = [name for name in COLOURS if any(one.subject == name for one in results.latencies)]
    lines = [Line2D([], [], color=COLOURS[name], label=name) for name in subjects]
    lines += [
        Line2D([], [], color="black", linestyle=style, label=f"at {share:.0%}") for share, style in STYLES.items()
    ]
    picture.legend(handles=lines, loc="outside lower center", ncols=len(lines), fontsize=7, frameon=False)
    return picture


def _panels(picture: Picture, count: int, *, same_scale: bool = False) -> list[Any]:
    return list(picture.subplots(1, count, squeeze=False, sharey=same_scale)[0])
