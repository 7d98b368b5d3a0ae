"""Curves as SVG, which scales with the page and takes its colours: where everything lies. `parts.html` draws it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

WIDTH, HEIGHT = 640, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 14, 12, 40
_SPAN = 20.0  # from this ratio of the largest to the smallest value on, a score's axis is logarithmic

Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """A curve.

    Attributes:
        name: in the legend.
        x, y: its points, by rising x; a NaN leaves a gap.
        spread: half the height of the band around it, or empty.
        colour: 1 to 8, of the page's palette.
        dashed: so that lines that cover each other are told apart without their colours.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    spread: Sequence[float] = ()
    colour: int = 1
    dashed: bool = False


@dataclass(frozen=True)
class Chart:
    """Curves over epochs.

    Attributes:
        title: above them.
        lines: at least one with a number in it.
        unit: of y, beside the title.
        limits: of y; None to fit the lines.
        mark: (x, y, label) of a point that is circled.
        may_be_logarithmic: where all is positive and values differ much.
    """

    title: str
    lines: Sequence[Line]
    unit: str = ""
    limits: tuple[float, float] | None = None
    mark: tuple[float, float, str] | None = None
    may_be_logarithmic: bool = False
    width: int = field(default=WIDTH, init=False)
    height: int = field(default=HEIGHT, init=False)

    @property
    def logarithmic(self) -> bool:
        """Whether equal ratios are equal heights."""
        values = list(self._values())
        return self.may_be_logarithmic and min(values) > 0 and max(values) > _SPAN * min(values)

    @property
    def frame(self) -> tuple[float, float, float, float]:
        """left, top, right, bottom of where the curves are."""
        return _LEFT, _TOP, WIDTH - _RIGHT, HEIGHT - _BOTTOM

    @property
    def x_ticks(self) -> list[tuple[float, str]]:
        """(place, label)."""
        first, last = self._x_range()
        return [(self._x(value), _label(value)) for value in _ticks(first, last, 8) if first <= value <= last]

    @property
    def y_ticks(self) -> list[tuple[float, str]]:
        """(place, label)."""
        low, high = self._y_range()
        ticks = _decades(low, high) if self.logarithmic else _ticks(low, high, 5)
        return [(self._y(value), _label(value)) for value in ticks if low <= value <= high]

    def path(self, line: Line) -> str:
        """The curve as an SVG path; a lone point is a short stroke, which its round end makes a dot."""
        return " ".join(
            "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in (part if len(part) > 1 else part * 2))
            for part in _parts([(self._x(x), self._y(y)) for x, y in zip(line.x, line.y, strict=True)])
        )

    def band(self, line: Line) -> str:
        """The band around a curve as an SVG path, or nothing."""
        low, high = self._y_range()
        rows = [
            (self._x(x), self._y(min(y + s, high)), self._y(max(y - s, low)))
            for x, y, s in zip(line.x, line.y, line.spread, strict=False)
            if math.isfinite(y) and math.isfinite(s)
        ]
        if len(rows) < 2:
            return ""
        edge = [(x, top) for x, top, _ in rows] + [(x, bottom) for x, _, bottom in reversed(rows)]
        return "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in edge) + " Z"

    @property
    def circle(self) -> Point | None:
        """Where the mark is."""
        return None if self.mark is None else (self._x(self.mark[0]), self._y(self.mark[1]))

    @property
    def summary(self) -> str:
        """For who does not see it: where each curve begins and ends."""
        said = []
        for line in self.lines:
            known = [value for value in line.y if math.isfinite(value)]
            if known:
                said.append(f"{line.name} from {known[0]:.4g} to {known[-1]:.4g}")
        first, last = self._x_range()
        return f"{self.title}, epoch {first:.3g} to {last:.3g}: {'; '.join(said)}."

    @property
    def readout(self) -> dict[str, object]:
        """What the page's script shows under the pointer: all x with their places, and the values of each line."""
        x = sorted({value for line in self.lines for value in line.x})
        lines = []
        for line in self.lines:
            known = {at: y for at, y in zip(line.x, line.y, strict=True) if math.isfinite(y)}
            lines.append({"name": line.name, "y": [None if at not in known else float(f"{known[at]:.4g}") for at in x]})
        return {"x": [float(f"{at:.4g}") for at in x], "at": [round(self._x(at), 1) for at in x], "lines": lines}

    def _values(self) -> Iterator[float]:
        for line in self.lines:
            yield from (value for value in line.y if math.isfinite(value))

    def _x_range(self) -> tuple[float, float]:
        x = [value for line in self.lines for value in line.x]
        return min(x), max(x)

    def _y_range(self) -> tuple[float, float]:
        if self.limits is not None:
            return self.limits
        ends = list(self._values())
        for line in self.lines:
            pairs = [(y, s) for y, s in zip(line.y, line.spread, strict=False) if math.isfinite(y) and math.isfinite(s)]
            ends += [y + s for y, s in pairs] + [y - s for y, s in pairs]
        if self.logarithmic:
            return min(end for end in ends if end > 0) / 1.1, max(ends) * 1.1
        low, high = min(ends), max(ends)
        apart = 0.05 * (high - low) or 0.1 * abs(high) or 1.0
        return (low if low == 0 else low - apart), high + apart

    def _x(self, value: float) -> float:
        first, last = self._x_range()
        share = (value - first) / (last - first) if last > first else 0.5
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    def _y(self, value: float) -> float:
        if not math.isfinite(value):
            return math.nan
        low, high = self._y_range()
        if self.logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return HEIGHT - _BOTTOM - (value - low) / (high - low) * (HEIGHT - _TOP - _BOTTOM)


def has_numbers(lines: Sequence[Line]) -> bool:
    """Whether there is anything to draw."""
    return any(math.isfinite(value) for line in lines for value in line.y)


def _parts(points: Sequence[Point]) -> Iterator[list[Point]]:
    """The points between gaps."""
    part: list[Point] = []
    for point in points:
        if math.isfinite(point[1]):
            part.append(point)
        elif part:
            yield part
            part = []
    if part:
        yield part


def _ticks(low: float, high: float, most: int) -> list[float]:
    from matplotlib.ticker import MaxNLocator

    return (
        [float(tick) for tick in MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)]
        if high > low
        else [low]
    )


def _decades(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    return [factor * 10.0**power for power in range(first, last + 1) for factor in (1, 2, 5)]


def _label(value: float) -> str:
    return f"{0.0 if abs(value) < 1e-12 else value:.6g}".replace("-", "−")
