"""Pictures of throughput and of latency, as SVG and PNG."""

from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure as Picture

from bench.plan import SHARES
from bench.results import PER_SECOND, PERCENTILES, Results
from bench.subjects import LIMIT, PEER, POSTGRESQL, SQLITE

COLOURS: Final = {SQLITE: "#0b6e4f", POSTGRESQL: "#2b5c9e", PEER: "#c2703d", LIMIT: "#9a9a9a"}
STYLES: Final = dict(zip(SHARES, (":", "-", "--"), strict=True))
INCHES: Final = {"width": 9.0, "height": 3.2}
DPI: Final = 110

# Text stays text, so that the files are small, and the same figures give the same file.
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
    """Draw what was measured into ``folder``; returns the names of the SVG files."""
    drawn = []
    for name, picture in (("performance-throughput", _throughput(results)), ("performance-latency", _latency(results))):
        if picture is not None:
            picture.savefig(folder / f"{name}.svg", metadata={"Date": None})
            picture.savefig(folder / f"{name}.png", dpi=DPI, metadata={"Software": None})
            drawn.append(f"{name}.svg")
    return drawn


def _throughput(results: Results) -> Picture | None:
    figures = [one for one in results.figures if one.unit == PER_SECOND]
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
    for axes, what in zip(_panels(picture, len(kinds)), kinds, strict=True):
        for one in results.latencies:
            if one.what == what:
                axes.plot(
                    list(PERCENTILES),
                    [max(one.ms[percentile], 0.1) for percentile in PERCENTILES],
                    STYLES.get(one.share, "-"),
                    marker=".",
                    color=COLOURS[one.subject],
                    label=f"{one.subject}, {one.share:.0%}",
                )
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.grid(axis="y", alpha=0.3)
        axes.set_title(f"{what}, ms{' beyond the provider' if what == 'pay' else ''}, by share of its throughput")
        axes.legend(fontsize=6, frameon=False)
    return picture


def _panels(picture: Picture, count: int) -> list[Any]:
    return list(picture.subplots(1, count, squeeze=False)[0])
