"""Charts: where points lie, by hand; gaps, ticks, logarithms, and what is said to who sees none of it."""

import math

import pytest

from doggan.reporting.charts import Chart, Line, has_numbers

NAN = math.nan


def chart(y, x=(0, 5, 10), **options):
    return Chart("score", [Line("a run", x[: len(y)], y)], **options)


def test_points_lie_where_they_should():
    drawn = chart([0.0, 1.0, 0.5], limits=(0.0, 1.0))
    left, top, right, bottom = drawn.frame
    assert drawn.path(drawn.lines[0]) == (
        f"M{left:.1f} {bottom:.1f} L{(left + right) / 2:.1f} {top:.1f} L{right:.1f} {(top + bottom) / 2:.1f}"
    )


def test_a_gap_parts_the_curve_and_a_lone_point_is_drawn():
    drawn = Chart("score", [Line("a run", [0, 1, 2, 3], [1.0, NAN, 2.0, 1.0])])
    first, second = drawn.path(drawn.lines[0]).split(" M")
    assert first.count("L") == 1  # from the point to itself
    assert len(set(first.removeprefix("M").split(" L"))) == 1
    assert second.count("L") == 1


def test_the_band_is_as_high_as_the_spread_twice():
    line = Line("a run", [0, 1], [4.0, 5.0], [1.0, 1.0])
    drawn = Chart("score", [line], limits=(0.0, 10.0))
    _, top, _, bottom = drawn.frame
    numbers = [float(part.split()[1]) for part in drawn.band(line).removesuffix(" Z").removeprefix("M").split(" L")]
    heights = [bottom - value / 10 * (bottom - top) for value in (5, 6, 4, 3)]
    assert numbers == [pytest.approx(height, abs=0.06) for height in heights]
    assert drawn.band(Line("another", [0, 1], [4.0, 5.0])) == ""


def test_all_lies_within_the_frame():
    line = Line("a run", [0, 1, 2], [-3.0, 8.0, 2.0], [1.0, 2.0, 0.5])
    drawn = Chart("score", [line])
    left, top, right, bottom = drawn.frame
    points = [tuple(map(float, part.split())) for part in drawn.band(line)[1:-2].split(" L")]
    assert all(left <= x <= right and top <= y <= bottom for x, y in points)
    assert all(left <= at <= right for at, _ in drawn.x_ticks)
    assert all(top <= at <= bottom for at, _ in drawn.y_ticks)


def test_a_logarithmic_axis_holds_the_bands_too_as_far_as_they_are_positive():
    line = Line("a run", [0, 1, 2], [100.0, 1.0, 2.0], [1.0, 0.5, 3.0])
    drawn = Chart("score", [line], may_be_logarithmic=True)
    assert drawn.logarithmic
    _, top, _, bottom = drawn.frame
    low, high = math.log(0.5 / 1.1), math.log(101 * 1.1)
    edges = [float(part.split()[1]) for part in drawn.band(line)[1:-2].split(" L")]
    shares = [(math.log(value) - low) / (high - low) for value in (101, 1.5, 5, 0.5 / 1.1, 0.5, 99)]
    assert edges == [pytest.approx(bottom - share * (bottom - top), abs=0.06) for share in shares]


def test_equal_ratios_are_equal_heights_where_values_differ_much():
    drawn = chart([1.0, 10.0, 100.0], may_be_logarithmic=True)
    assert drawn.logarithmic
    heights = [float(point.split()[1]) for point in drawn.path(drawn.lines[0])[1:].split(" L")]
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2], abs=0.11)
    assert [label for _, label in drawn.y_ticks] == ["1", "2", "5", "10", "20", "50", "100"]
    assert not chart([1.0, 10.0, 5.0], may_be_logarithmic=True).logarithmic
    assert not chart([0.0, 10.0, 500.0], may_be_logarithmic=True).logarithmic
    assert not chart([1.0, 10.0, 100.0]).logarithmic


@pytest.mark.parametrize("y", [[2.0], [0.0], [3.0, 3.0, 3.0], [-1.0]])
def test_one_point_or_equal_ones_can_be_drawn(y):
    drawn = chart(y)
    assert "nan" not in drawn.path(drawn.lines[0])
    assert drawn.y_ticks
    assert drawn.x_ticks


def test_it_says_what_it_shows():
    drawn = chart([NAN, 2.0, 1.5])
    assert drawn.summary == "score, epoch 0 to 10: a run from 2 to 1.5."
    assert drawn.readout["x"] == [0, 5, 10]
    assert drawn.readout["lines"] == [{"name": "a run", "y": [None, 2.0, 1.5]}]


def test_lines_of_other_epochs_share_the_axis():
    drawn = Chart("score", [Line("a", [0, 10], [1.0, 2.0]), Line("b", [5], [3.0])])
    assert drawn.readout["x"] == [0, 5, 10]
    assert [line["y"] for line in drawn.readout["lines"]] == [[1.0, None, 2.0], [None, 3.0, None]]


def test_nothing_is_no_chart():
    assert not has_numbers([Line("a", [0], [NAN])])
    assert has_numbers([Line("a", [0, 1], [NAN, 1.0])])
