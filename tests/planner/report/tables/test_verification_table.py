import msgspec
import pytest
from made_records import MEASURED, SCENARIO, made_plan
from terminal_text import printed

from planner.report.tables.verification_table import verdict_text, verification_table
from planner.scenario.budget_schema import BudgetSpec

BUDGET = {"accuracy_drop": 0.03, "noise_relative_rms": 0.05}


def again(**changes):
    return made_plan(
        scenario=SCENARIO | {"budget": BUDGET}, measured=msgspec.structs.replace(MEASURED, **changes)
    )


def row(text: str, name: str) -> list[str]:
    found = next(one for one in text.splitlines() if one.strip().startswith(name))
    return found.strip().removeprefix(name).split()


def test_what_was_measured_stands_beside_what_the_plan_has():
    now = again(accuracy=0.8111, noise_relative_rms=0.0444, latency_ratio_to_fp32=0.611)
    text = printed(verification_table(made_plan(), now), 100)
    assert row(text, "whole model's time / fp32") == ["0.523", "0.611"]
    assert row(text, "relative RMS error") == ["0.0456", "0.0444"]
    assert row(text, "accuracy") == ["81.23%", "81.11%"]
    assert row(text, "accuracy of the fp32 model") == ["83.45%", "83.45%"]
    assert "accuracy_drop 0.0234, budget 0.03" in " ".join(text.split())


def test_a_plan_that_was_never_measured_has_nothing_beside():
    text = printed(verification_table(made_plan(measured=None), again()), 100)
    assert row(text, "relative RMS error") == ["-", "0.0456"]


@pytest.mark.parametrize(
    ("budget", "changes", "verdict", "told"),
    [
        ({}, {}, "verified: the stages answer as the whole model does", "no budget on errors"),
        (BUDGET, {}, "verified, all error budgets kept: ", "noise_relative_rms 0.0456, budget 0.05"),
        (
            BUDGET,
            {"accuracy": 0.7},
            "not verified, error budgets broken: accuracy_drop 0.1345",
            "budget 0.03",
        ),
        ({"top1_agreement": 0.99}, {}, "not verified, error budgets broken: top1_agreement 0.9851", "0.99"),
        ({"top1_agreement": 0.98}, {}, "verified, all error budgets kept: top1_agreement 0.9851", "0.98"),
    ],
)
def test_the_verdict_names_each_budget_with_its_value(budget, changes, verdict, told):
    text = verdict_text(BudgetSpec(**budget), msgspec.structs.replace(MEASURED, **changes))
    assert text.startswith(verdict)
    assert told in text
    assert "noise_relative_rms" not in text or "broken" not in text
