import math
from itertools import combinations, pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_records import PREDICTED, made_comparison, made_plan, made_summary
from matplotlib.colors import to_hex

from planner.comparison.comparison_record import BestPlanRange, ParetoFront, ParetoPoint, Row
from planner.report.figure_style import LINKS, colours_of, inline_svg, new_figure, save_figure
from planner.report.figures import _levels, draw_front, draw_latency, draw_request, draw_shares

DEVICES = ("camera", "server")
replaced = msgspec.structs.replace


def lines_of(figure) -> dict[str, list[tuple[float, float]]]:
    """Return label -> points of the lines in a figure's legend."""
    axes = figure.axes[0]
    return {
        line.get_label(): list(zip(map(float, line.get_xdata()), map(float, line.get_ydata()), strict=True))
        for line in axes.lines
        if not line.get_label().startswith("_")
    }


def test_the_joint_plans_line_is_their_latency_over_bandwidth_from_end_to_end():
    comparison = made_comparison()
    points = lines_of(draw_latency(comparison))["joint plan"]
    assert points[0][0] == pytest.approx(0.1)
    assert points[-1][0] == pytest.approx(100.0)
    for bandwidth, ms in points:
        own = [plan.latency_s(bandwidth) * 1e3 for plan in comparison.plans]
        assert ms == pytest.approx(own[0] if bandwidth < 0.8 * (1 - 1e-9) else own[1]) or (
            bandwidth == pytest.approx(0.8) and ms == pytest.approx(own[0])
        )


def test_a_dot_marks_where_the_best_plan_changes():
    figure = draw_latency(made_comparison())
    dots = [
        line
        for line in figure.axes[0].lines
        if line.get_label().startswith("_") and len(line.get_xdata()) == 1
    ]
    assert [float(line.get_xdata()[0]) for line in dots] == [0.8]
    assert float(dots[0].get_ydata()[0]) == pytest.approx(made_summary(1).latency_s(0.8) * 1e3)
    assert [text.get_text() for text in figure.axes[0].texts] == ["0.8"]
    assert figure.axes[0].get_title(loc="left") == "The best plan changes at, Mbit/s:"


@given(st.lists(st.floats(0.1, 1000), max_size=20))
def test_labels_at_the_same_height_are_apart(values):
    rising = sorted(values)
    levels = _levels(rising, 0.1, 1000)
    assert len(levels) == len(rising)
    for (a, p), (b, q) in combinations(zip(rising, levels, strict=True), 2):
        assert p != q or math.log(b / a) >= 0.0899 * math.log(1e4)
    if rising:
        assert min(levels) == 0


def test_a_baseline_is_drawn_where_it_found_a_plan():
    lines = lines_of(draw_latency(made_comparison()))
    assert lines["minimum fp32 cut"] == [(0.4, pytest.approx(51.1)), (8.0, pytest.approx(31.1))]
    assert lines["quantize, then split"] == [(8.0, pytest.approx(27.3))]
    assert "split, then quantize" not in lines


def test_baselines_on_the_same_line_are_told_apart_and_say_so():
    rows = tuple(
        replaced(row, baselines={"one device": 0.05, "single fp32 cut": 0.0501, "quantize, then split": 0.06})
        for row in made_comparison().rows
    )
    axes = draw_latency(made_comparison(rows=rows)).axes[0]
    drawn = {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}
    assert {"one device", "single fp32 cut (as one device)", "quantize, then split"} <= set(drawn)
    sizes = [drawn[name].get_markersize() for name in ("one device", "single fp32 cut (as one device)")]
    assert sizes[0] > sizes[1] + 1
    for name in ("one device", "quantize, then split"):
        assert drawn[name].get_linestyle() == "None"  # between its points nothing was planned


@pytest.mark.parametrize(("low_s", "high_s"), [(0.0021, 0.0034), (0.0007, 0.4), (1.2, 9e3)])
def test_a_scale_has_plain_numbers_and_no_gap(low_s, high_s):
    first, second, _ = made_comparison().rows
    rows = (replaced(first, objective=high_s), replaced(second, objective=low_s))
    figure = draw_latency(made_comparison(rows=rows, pieces=()))
    figure.draw_without_rendering()
    axis = figure.axes[0].yaxis
    low, high = sorted(axis.get_view_interval())
    ticks = [tick for tick in axis.get_majorticklocs() if low <= tick <= high]
    labels = [label.get_text() for label in axis.get_majorticklabels()]
    assert len(ticks) >= 1
    assert all(upper / lower <= 10.01 for lower, upper in pairwise([low, *ticks, high]))
    assert not any("e" in label or "$" in label for label in labels)


def test_without_ranges_the_rows_that_have_a_plan_are_joined():
    lines = lines_of(draw_latency(made_comparison(pieces=())))
    assert lines["joint plan"] == [(0.4, pytest.approx(40.0)), (8.0, pytest.approx(22.0))]


def test_each_set_of_budgets_has_its_own_line():
    sets = ({"latency_ms": 30.0}, {"latency_ms": 50.0})
    first, second, _ = made_comparison().rows
    rows = (replaced(first, budgets=sets[0]), replaced(second, budgets=sets[1]))
    pieces = (
        BestPlanRange(budgets=sets[0], low=0.1, high=9.0, plan=0),
        BestPlanRange(budgets=sets[1], low=0.1, high=7.0, plan=1),
    )
    lines = lines_of(draw_latency(made_comparison(rows=rows, pieces=pieces)))
    assert lines["joint plan, latency_ms 30"][-1][0] == pytest.approx(9.0)
    assert lines["joint plan, latency_ms 50"][-1][0] == pytest.approx(7.0)


def test_the_shares_of_a_rows_plan_fill_a_hundred_percent():
    comparison = made_comparison()
    axes = draw_shares(comparison, DEVICES).axes[0]
    planned = [row for row in comparison.rows if row.plan is not None]
    heights = {bars.get_label(): [bar.get_height() for bar in bars] for bars in axes.containers}
    assert set(heights) == {"camera computes", "server computes", "on links"}
    for place, row in enumerate(planned):
        plan = comparison.plans[row.plan]
        whole = plan.latency_s(row.bandwidth)
        assert sum(column[place] for column in heights.values()) == pytest.approx(100)
        for device in DEVICES:
            assert heights[f"{device} computes"][place] == pytest.approx(100 * plan.compute_s[device] / whole)
    assert [text.get_text() for text in axes.texts] == ["40 ms", "22 ms"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0.4", "8"]
    for bars, colour in zip(axes.containers, (*colours_of(DEVICES).values(), LINKS), strict=True):
        assert to_hex(bars[0].get_facecolor()) == colour


def test_rows_of_budgets_are_told_by_them():
    row = Row(
        bandwidth=None, budgets={"a": 5.0, "b": 0.25}, status="optimal", plan=0, objective=1.0, bound=1.0
    )
    axes = draw_shares(made_comparison(rows=(row,), unit=""), DEVICES).axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["5\n0.25"]
    assert axes.get_xlabel() == "budgets"


def test_a_front_of_two_axes_has_its_points_in_their_units_each_with_its_plan():
    front = made_comparison().front
    axes = draw_front(front).axes[0]
    dots = axes.lines[-1]
    assert list(dots.get_xdata()) == pytest.approx([41.2, 21.7])
    assert list(dots.get_ydata()) == pytest.approx([0.0311, 0.0523])
    assert [text.get_text() for text in axes.texts] == ["0", "1"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("latency, ms", "relative RMS error")


def test_a_third_axis_is_a_colour_with_its_scale():
    values = ((0.04, 0.03, 2**20), (0.02, 0.05, 3 * 2**20))
    points = tuple(
        ParetoPoint(plan=n, values=dict(zip(("latency", "energy", "memory"), row, strict=True)))
        for n, row in enumerate(values)
    )
    figure = draw_front(ParetoFront(axes=("latency", "energy", "memory"), points=points, complete=False))
    dots = figure.axes[0].collections[0]
    assert dots.get_offsets().tolist() == [pytest.approx([40, 30]), pytest.approx([20, 50])]
    assert list(dots.get_array()) == [1, 3]
    assert figure.axes[1].get_ylabel() == "memory, MiB"


def test_the_bar_of_a_request_is_as_long_as_what_computes_and_moves():
    axes = draw_request(made_plan(), DEVICES).axes[0]
    parts = [(bar.get_x(), bar.get_width()) for bars in axes.containers for bar in bars]
    widths = [*(seconds * 1e3 for seconds in PREDICTED.compute_s.values()), PREDICTED.transfer_s * 1e3]
    assert [width for _, width in parts] == pytest.approx(widths)
    assert [start for start, _ in parts] == pytest.approx([0, widths[0], widths[0] + widths[1]])
    assert [bars.get_label() for bars in axes.containers] == [
        "camera: 9.19 ms", "server: 3.16 ms", "on links: 201 ms",
    ]  # fmt: skip


def test_who_takes_no_part_in_a_request_has_no_bar():
    predicted = replaced(PREDICTED, compute_s={"camera": 0.00919, "server": 0.0}, transfer_s=0.0)
    axes = draw_request(made_plan(predicted=predicted), DEVICES).axes[0]
    assert [bars.get_label() for bars in axes.containers] == ["camera: 9.19 ms"]


def test_a_request_that_takes_no_time_is_drawn_without_a_warning():
    predicted = replaced(PREDICTED, compute_s={"camera": 0.0, "server": 0.0}, transfer_s=0.0)
    axes = draw_request(made_plan(predicted=predicted), DEVICES).axes[0]
    assert (axes.containers, axes.get_legend()) == ([], None)


def test_a_name_in_another_script_is_drawn_without_a_warning(tmp_path, recwarn):
    figure = new_figure(2, 1)
    figure.subplots().set_title("日本 out")
    save_figure(figure, tmp_path, "plot")
    assert "日本 out" in inline_svg(figure, "plot", "a title")
    assert not recwarn.list
