import re
from dataclasses import replace

import msgspec
import pytest
from made_records import made_comparison, made_latency, made_plan
from terminal_text import printed

from planner.plan.models_record import ModelEntry, ModelsPlan
from planner.plan.plan_record import CostDoubt, NoisyCosts
from planner.report.models_html import models_page
from planner.report.tables.comparison_table import comparison_table
from planner.report.tables.models_table import models_table
from planner.verification.noisy_costs import noisiest, noisy_costs_of, noisy_costs_text, of_costs_text
from profiling.on_device.clock.run_clock import CPU, WALL

CALM = made_latency(spread=0.02)
BUSY = replace(CALM, spread=0.23, noisy=True, clock=CPU, disturbed=0.4, waiting=2.5)
NOISY = NoisyCosts(device="camera", spread=0.23, clock=CPU, disturbed=0.4, waiting=2.5)
CONTENDED = NoisyCosts(device="server", spread=0.03, clock=CPU, contended=0.6)
DOUBT = CostDoubt(predicted=0.8, measured=1.0, low=0.99, high=1.02, difference=0.25)


def test_devices_whose_profile_is_noisy_are_named_with_what_it_says():
    assert noisy_costs_of({"server": CALM, "camera": BUSY}) == (NOISY,)
    assert noisy_costs_of({"server": CALM}) == ()


def test_of_several_models_the_runs_that_spread_farthest_count():
    farther = msgspec.structs.replace(NOISY, spread=0.4)
    server = msgspec.structs.replace(NOISY, device="server")
    assert noisiest([(NOISY,), (), (farther, server), (NOISY,)]) == (farther, server)


@pytest.mark.parametrize(
    ("noisy", "doubt", "text"),
    [
        ((), None, ""),
        ((), DOUBT, " for costs in doubt"),
        ((NOISY,), None, " for noisy costs (spread 23%)"),
        ((NOISY,), DOUBT, " for noisy costs (spread 23%) in doubt"),
        ((CONTENDED,), None, " for noisy costs (spread 3%, 60% of runs on a shared core)"),
    ],
)
def test_a_status_never_stands_alone_where_costs_are_noisy_or_in_doubt(noisy, doubt, text):
    assert of_costs_text(noisy, doubt) == text


def test_a_sentence_says_why_costs_are_noisy():
    by_wall = msgspec.structs.replace(NOISY, device="server", clock=WALL, disturbed=None, spread=0.5)
    text = noisy_costs_text((NOISY, by_wall))
    assert "the processor time of fp32 runs of camera spreads by 23%, and 40% of them were disturbed" in text
    assert "; the wall-clock time of fp32 runs of server spreads by 50%; plan again" in text
    assert noisy_costs_text(()) == ""
    text = noisy_costs_text((CONTENDED,))
    assert "spreads by 3%, and 60% of those that count shared their core with other work" in text


def test_a_comparison_begins_with_it():
    text = printed(comparison_table(made_comparison(noisy_costs=(NOISY,))))
    assert text.splitlines()[0].strip() == "plans for noisy costs (spread 23%)"
    assert "costs are noisy" in text
    assert "noisy" not in printed(comparison_table(made_comparison()))


def test_plans_of_several_models_are_never_just_optimal():
    plan = made_plan()
    entry = ModelEntry(
        name="m", folder="m", share=1.0, latency_s=0.1, noise_relative_rms=0.01, memory_bytes={"camera": 1}
    )
    record = ModelsPlan(
        format=1,
        status="optimal",
        objective=plan.objective,
        solver=plan.solver,
        latency_s=0.1,
        throughput_per_s=10.0,
        models=(entry,),
        noisy_costs=(NOISY,),
    )
    for text in (printed(models_table(record)), models_page(record)):
        words = " ".join(re.sub("<.*?>", " ", text).split())  # a figure's tag holds its value as well
        alone = re.sub(r"optimal( plan( of 1 models)?)? for noisy costs \(spread 23%\)", "", words)
        assert "optimal" in words
        assert "optimal" not in alone
        assert "of camera spreads by 23%" in words
