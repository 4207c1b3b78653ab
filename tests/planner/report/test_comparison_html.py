import html
import json
import re
from pathlib import Path

import msgspec
import pytest
from made_records import SCENARIO, made_comparison, made_fleet

from planner.comparison.comparison_record import BestPlanRange, ParetoFront
from planner.plan.plan_record import BudgetVerdict
from planner.report.comparison_html import comparison_figures, comparison_page
from planner.scenario.loader import parse_scenario

SCENARIO_RECORD = parse_scenario(json.dumps(SCENARIO).encode())
replaced = msgspec.structs.replace


def page_of(residual, comparison) -> str:
    return comparison_page(comparison, residual.graph, SCENARIO_RECORD, figures=[])


def lead_of(page: str) -> str:
    return html.unescape(re.search(r'<p class="lead">(.*?)</p>', page, re.DOTALL)[1])


@pytest.mark.parametrize("objective", ["throughput", "memory", "weighted"])
def test_each_number_of_the_page_is_the_records_whatever_is_minimised(residual, objective):
    comparison = made_comparison(objective=objective)
    record = json.loads(msgspec.json.encode(comparison))
    found = re.findall(r'data-path="(.*?)" data-value="(.*?)"', page_of(residual, comparison))
    assert len(found) > 40
    paths = set()
    for path, value in found:
        own = record
        for step in json.loads(html.unescape(path)):
            own = own[step]
        assert json.loads(html.unescape(value)) == own
        paths.add(tuple(json.loads(html.unescape(path))))
    for n, row in enumerate(record["rows"]):
        wanted = [name for name in ("bandwidth", "objective", "measured_s") if row[name] is not None]
        wanted += [("baselines", name) for name, value in row["baselines"].items() if value is not None]
        for name in wanted:
            assert ("rows", n, *((name,) if isinstance(name, str) else name)) in paths


def test_the_first_sentence_counts_the_changes_of_the_best_plan(residual):
    pieces = made_comparison().pieces
    assert "changes nowhere" in lead_of(page_of(residual, made_comparison(pieces=pieces[:1])))
    third = BestPlanRange(budgets={}, low=100.0, high=200.0, plan=0)
    text = lead_of(page_of(residual, made_comparison(pieces=(*pieces, third))))
    assert "changes 2 times" in text
    assert "Between 0.1 and 200 Mbit/s on camera-server" in text
    other = BestPlanRange(budgets={"latency_ms": 5.0}, low=0.1, high=100.0, plan=1)
    text = lead_of(page_of(residual, made_comparison(pieces=(*pieces, other))))
    assert "changes once, over all budgets" in text
    assert lead_of(page_of(residual, made_comparison(pieces=()))) == "3 points, 2 different plans."


def test_figures_are_drawn_of_what_there_is():
    def names(**changes) -> list[str]:
        return [name for name, _, _ in comparison_figures(made_comparison(**changes), ["camera", "server"])]

    assert names() == ["latency", "shares", "front"]
    assert names(front=None) == ["latency", "shares"]
    assert names(objective="energy") == ["shares", "front"]
    assert names(links=(), unit="") == ["shares", "front"]
    assert names(rows=made_comparison().rows[2:]) == ["front"]
    empty = ParetoFront(axes=("latency", "noise"), points=(), complete=True)
    assert names(front=empty) == ["latency", "shares"]


def test_each_baseline_is_explained_in_a_sentence(residual):
    page = page_of(residual, made_comparison())
    terms = [html.unescape(term) for term in re.findall(r"<dt>(.*?)</dt>", page)]
    assert sorted(terms) == [
        "all on camera",
        "best cut (as in the table)",
        "minimum fp32 cut",
        "one device",
        "one device (as in the table)",
        "one device, mixed precision",
        "quantize, then split",
        "two steps (as in the table)",
    ]
    assert all(sentence.endswith(".") for sentence in re.findall(r"<dd>(.*?)</dd>", page))


def rows_of(page: str, caption: str) -> list[list[str]]:
    table = next(text for text in re.findall(r"<table.*?</table>", page, re.DOTALL) if caption in text)
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
    cells = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL) for row in rows]
    return [[html.unescape(re.sub(r"<[^>]*>", "", cell)).strip() for cell in row] for row in cells]


def test_the_page_has_the_terminals_kinds_of_baselines_and_every_baseline_by_name(residual):
    page = page_of(residual, made_comparison())
    head, first, second, infeasible = rows_of(page, "best baseline of each kind")
    assert head[-4:] == ["one device", "best cut", "two steps", "the best of these"]
    assert first[-4:] == ["42.10 ms", "51.10 ms", "none", "one device, mixed precision"]
    assert second[-4:] == ["42.10 ms", "31.10 ms", "27.30 ms", "quantize, then split"]
    assert infeasible[-4:] == ["", "", "", ""]
    every = rows_of(page, "every baseline")
    names = ["all on camera", "minimum fp32 cut", "quantize, then split", "one device"]
    assert every[0] == ["Mbit/s", *names, "one device, mixed precision"]
    assert every[1] == ["0.4", "43.30 ms", "51.10 ms", "none", "43.00 ms", "42.10 ms"]


def test_each_verdict_on_a_plan_stands_there_once(residual):
    verdict = BudgetVerdict(
        budget="accuracy_drop",
        limit=0.02,
        value=0.01,
        kept=True,
        certainty=0.971,
        low=-0.004,
        high=0.019,
        samples=60,
    )
    evaluated = replaced(verdict, samples=400, certainty=0.9995)
    rows = tuple(
        replaced(row, plan=1, held_back_verdicts=(verdict,), budget_verdicts=(evaluated,))
        for row in made_comparison().rows[:2]
    )
    value = ["accuracy_drop", "at most 0.02", "0.0100", "-0.0040 to 0.0190"]
    assert rows_of(page_of(residual, made_comparison(rows=rows)), "of the error budgets")[1:] == [
        ["1", "60 held back", *value, "kept with 97 % certainty"],
        ["1", "400 evaluation", *value, "kept with more than 99.9 % certainty"],
    ]
    assert "of the error budgets of" not in page_of(residual, made_comparison())


def test_plans_to_hold_have_ranges_in_words(residual):
    rows = rows_of(page_of(residual, made_comparison()), "When a runtime runs which plan")
    assert rows[1:] == [
        ["below 0.8", "0", "never", "0.88", "27.70%"],
        ["above 0.8", "1", "0.72", "never", "72.30%"],
    ]


def test_each_plan_has_its_graph(residual):
    page = page_of(residual, made_comparison())
    assert re.findall(r'<svg[^>]* aria-label="cut behind unit (\d)"', page) == ["0", "1"]
    assert "do not fit" not in page


def test_a_whole_front_is_told_from_some_points_of_it(residual):
    whole = made_comparison()
    assert "The whole Pareto front" in page_of(residual, whole)
    part = page_of(residual, made_comparison(front=replaced(whole.front, complete=False)))
    assert "The whole Pareto front" not in part
    assert "Points of the Pareto front" in part


def test_what_scripts_know_of_a_plan_is_its_line_over_bandwidth(residual):
    comparison = made_comparison()
    page = page_of(residual, comparison)
    script = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    data = json.loads(script[1])
    assert data["plans"] == [
        {"fixed_s": plan.fixed_s, "link_s": plan.link_s, "summary": plan.summary} for plan in comparison.plans
    ]
    assert data["pieces"] == [{"low": p.low, "high": p.high, "plan": p.plan} for p in comparison.pieces]
    assert Path(SCENARIO["model"]).name in page


def test_each_number_of_a_fleet_is_the_records(residual):
    comparison = made_comparison(fleet=made_fleet(), pieces=(), rows=(), front=None, plan_set=None)
    page = page_of(residual, comparison)
    record = json.loads(msgspec.json.encode(comparison))
    paths = set()
    for path, value in re.findall(r'data-path="(.*?)" data-value="(.*?)"', page):
        own = record
        steps = json.loads(html.unescape(path))
        for step in steps:
            own = own[step]
        assert json.loads(html.unescape(value)) == own
        paths.add(tuple(steps))
    for n, row in enumerate(record["fleet"]["rows"]):
        for name in ("bandwidth", "share", "plan", "objective", "best"):
            assert row[name] is None or ("fleet", "rows", n, name) in paths
    assert lead_of(page) == "2 plans to hold for the classes of camera."
    assert "the budgets cannot be kept together" in page


def test_whether_planning_jointly_is_worth_it_stands_below_the_first_sentence(residual):
    page = page_of(residual, made_comparison())
    assert "<p>The joint plan: latency at most 19.4% below that of the best simpler way.</p>" in page


def test_a_comparison_without_a_plan_says_so_and_draws_none(residual):
    row = msgspec.structs.replace(
        made_comparison().rows[0], plan=None, objective=None, status="infeasible", reason="budget.x: too low"
    )
    record = made_comparison(plans=(), rows=(row,), pieces=(), front=None, plan_set=None)
    page = page_of(residual, record)
    assert lead_of(page) == "No plan at any of 1 point: budget.x: too low."
    assert "<h2>The plans</h2>" not in page
    assert "<h2>The plans</h2>" in page_of(residual, made_comparison())
