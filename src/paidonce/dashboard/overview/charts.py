"""The geometry of charts, which ``templates/charts.html`` draws as SVG. Colours and fonts are in ``charts.css``.

A chart holds no script, no style and no address, so that the pages' Content-Security-Policy allows it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Final, NamedTuple

WIDTH: Final = 560
HEIGHT: Final = 200
LEFT: Final = 68  # Room for the texts of the scale.
RIGHT: Final = 8
TOP: Final = 10
BOTTOM: Final = 26
TICKS_MAX: Final = 5
LABELS_MAX: Final = 8  # So that they do not overlap.
GAP_SHARE: Final = 0.25  # Of the place of a bar.
RADIUS: Final = 3.0


class Series(NamedTuple):
    """Values in the order of the labels, with the text of each; None where there is no value."""

    name: str
    values: Sequence[float | None]
    texts: Sequence[str]


class Mark(NamedTuple):
    """A bar or a point, with its text."""

    x: float
    y: float
    width: float
    height: float
    text: str


class Text(NamedTuple):
    """A text of the scale or of the time."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """One series as it is drawn. ``lines`` are the points of a line, without a gap in each."""

    name: str
    marks: list[Mark]
    lines: list[str]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart. ``kind`` is ``bars``, whose series stand on each other, or ``lines``. ``summary`` says it in words."""

    id: str
    title: str
    summary: str
    kind: str
    labels: Sequence[str]
    series: list[Series]
    drawn: list[Drawn]
    scale: list[Text]
    times: list[Text]
    baseline: float

    @property
    def rows(self) -> list[tuple[str, list[str]]]:
        """The same figures as rows of a table."""
        return [(label, [one.texts[place] for one in self.series]) for place, label in enumerate(self.labels)]


class Subject(NamedTuple):
    """What a chart is about. ``summary`` says it in words; ``tick_text`` writes a value of the scale."""

    id: str
    title: str
    summary: str
    labels: Sequence[str]
    tick_text: Callable[[float], str]


class Plot(NamedTuple):
    """How values and places become coordinates. ``ticks`` are the values of the scale."""

    ticks: Sequence[float]
    places: int

    @property
    def step(self) -> float:
        """The width of the place of one label."""
        return (WIDTH - LEFT - RIGHT) / max(self.places, 1)

    def y(self, value: float) -> float:
        """Return the height at which a value is."""
        share = (value - self.ticks[0]) / (self.ticks[-1] - self.ticks[0])
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    def x(self, place: float) -> float:
        """Return where the place of a label begins."""
        return round(LEFT + place * self.step, 1)


def bar_chart(subject: Subject, series: Sequence[Series]) -> Chart:
    """Make a chart of bars, which stand on each other. What is below zero hangs from the line at zero."""
    columns = [[one.values[place] or 0 for one in series] for place in range(len(subject.labels))]
    lowest = min((sum(min(value, 0) for value in column) for column in columns), default=0)
    highest = max((sum(max(value, 0) for value in column) for column in columns), default=0)
    plot = Plot(ticks_between(lowest, highest), len(subject.labels))
    beneath = [0.0] * len(subject.labels)
    drawn = []
    for one in series:
        bars = []
        for place, value in enumerate(one.values):
            if value:
                bars.append(_bar(plot, place, (beneath[place], beneath[place] + value), _text(subject, one, place)))
                beneath[place] += value
        drawn.append(Drawn(name=one.name, marks=bars, lines=[]))
    return _chart("bars", subject, series, drawn, plot)


def _bar(plot: Plot, place: int, ends: tuple[float, float], text: str) -> Mark:
    top, bottom = plot.y(max(ends)), plot.y(min(ends))
    left = round(plot.x(place) + plot.step * GAP_SHARE / 2, 1)
    return Mark(left, top, round(plot.step * (1 - GAP_SHARE), 1), round(max(bottom - top, 1.0), 1), text)


def _text(subject: Subject, series: Series, place: int) -> str:
    return f"{subject.labels[place]}: {series.texts[place]} {series.name.lower()}"


def line_chart(subject: Subject, series: Sequence[Series]) -> Chart:
    """Make a chart of lines through points, with gaps where there is no value."""
    values = [value for one in series for value in one.values if value is not None]
    plot = Plot(ticks_between(0, max(values, default=0)), len(subject.labels))
    drawn = []
    for one in series:
        places = [
            None if value is None else (plot.x(place + 0.5), plot.y(value)) for place, value in enumerate(one.values)
        ]
        points = [
            Mark(*where, RADIUS, RADIUS, _text(subject, one, place))
            for place, where in enumerate(places)
            if where is not None
        ]
        drawn.append(Drawn(name=one.name, marks=points, lines=_lines(places)))
    return _chart("lines", subject, series, drawn, plot)


def _chart(kind: str, subject: Subject, series: Sequence[Series], drawn: list[Drawn], plot: Plot) -> Chart:
    every = ceil(len(subject.labels) / LABELS_MAX) or 1
    return Chart(
        id=subject.id,
        title=subject.title,
        summary=subject.summary,
        kind=kind,
        labels=subject.labels,
        series=list(series),
        drawn=drawn,
        scale=[Text(LEFT - 6, plot.y(tick), subject.tick_text(tick)) for tick in plot.ticks],
        times=[Text(plot.x(place + 0.5), HEIGHT - 8, subject.labels[place]) for place in range(0, plot.places, every)],
        baseline=plot.y(0),
    )


def _lines(places: Sequence[tuple[float, float] | None]) -> list[str]:
    """Join neighbouring points; a gap begins a new line."""
    lines: list[list[str]] = [[]]
    for where in places:
        if where is None:
            lines.append([])
        else:
            lines[-1].append(f"{where[0]},{where[1]}")
    return [" ".join(points) for points in lines if len(points) > 1]


def ticks_between(lowest: float, highest: float) -> list[float]:
    """Return round values at equal distances, from at most ``lowest`` to at least ``highest``, with zero among them."""
    span = max(highest - lowest, 1)
    rough = span / (TICKS_MAX - 1)
    power = 10 ** floor(log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    step = max(step, 1)
    first, last = floor(lowest / step), max(ceil(highest / step), 1)
    return [number * step for number in range(first, last + 1)]
