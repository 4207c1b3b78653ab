"""What the LiteRT benchmark counts as kept, and the plans that it draws."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
pytest.importorskip("litert_quantizer", reason="the extra litert is not installed")
import litert
import litert_cuts
import litert_keras
import litert_modes
import litert_plans
import litert_two
from competing_plans import Row
from repository import ROOT
from tensorflow_extra import needs_tensorflow
from thread_time import Turns

from profiling.litert.load import load_litert
from profiling.litert.unit_graph import build_litert_graph
from profiling.precision import Precision

ROW = litert_plans.Row("net", 9, 4, 3, predicted=0.5, measured=0.5, noise_predicted=1.0, noise_measured=1.0)
MODE = Row(
    "net", "int8", "noise", ratio=0.5, noise=0.2, budget=0.2, plan_ratio=0.5, plan_noise=0.1,
    plan_over_competitor=1.0, apart=0.01,
)  # fmt: skip


@pytest.fixture(scope="module")
def digits():
    return build_litert_graph(load_litert(ROOT / "scenarios" / "litert" / "digits.tflite"))


def kept(bars):
    return [bar.kept for bar in bars]


def test_random_mixes_differ_and_are_what_plans_can_be(digits):
    mixes = list(litert_plans.random_mixes(digits, 12))
    assert len({tuple(sorted(mix.items())) for mix in mixes}) == 12
    assert all(mix and digits.resolve_precisions(mix) == mix for mix in mixes)
    assert {precision for mix in mixes for precision in mix.values()} == set(litert_plans.MODES)


def test_three_modes_alternate_in_blocks(digits):
    mix = litert_modes.alternating(digits)
    blocks = {unit // litert_modes.BLOCK: precision for unit, precision in mix.items()}
    expected = dict(enumerate(litert_modes.ALTERNATING[: len(digits.units) // litert_modes.BLOCK]))
    assert blocks == {block: mode for block, mode in expected.items() if mode != Precision.FP32}


def test_a_chain_of_other_bits_is_missed():
    row = litert_cuts.Row("net", Precision.INT8, units=9, in_mode=9, cuts=10, wrong=())
    assert kept(litert_cuts.bars([row])) == [True]
    assert kept(litert_cuts.bars([row, replace(row, wrong=("3: other bits",))])) == [False]


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({}, [True, True, True]),
        ({"predicted": 0.52}, [False, True, True]),
        ({"predicted": 0.44}, [False, False, True]),
        ({"noise_predicted": 1.3}, [True, True, False]),
        ({"noise_predicted": 0.7}, [True, True, False]),
        ({"noise_measured": 0.0}, [True, True, False]),
    ],
)
def test_predictions_that_are_off_are_missed(wrong, expected):
    assert kept(litert_plans.bars([replace(ROW, **wrong)] * 4)) == expected


def test_one_bad_network_is_not_hidden_by_good_ones():
    good, bad = [ROW] * 20, [replace(ROW, network="bad", predicted=0.52)]
    assert kept(litert_plans.bars(good + bad)) == [False, True, True]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, [True]),
        ({"plan_over_competitor": 1.02}, [False]),
        ({"failed": "no plan", "plan_over_competitor": 0.0}, [False]),
    ],
)
def test_a_plan_is_slower_only_beyond_what_one_file_differs_by(change, expected):
    assert kept(litert_modes.bars([replace(MODE, **change)])) == expected


def test_half_the_noise_counts_only_at_equal_time():
    row = replace(MODE, equal="time", plan_noise=0.09)
    assert kept(litert_modes.bars([MODE, row])) == [True, True]
    assert kept(litert_modes.bars([MODE, replace(row, plan_over_competitor=1.1)])) == [True, False]
    assert kept(litert_modes.bars([MODE, replace(row, plan_noise=0.11)])) == [True, False]


def test_a_plan_of_two_runtimes_has_to_be_as_good_as_the_better_one():
    rows = [litert_two.Row("net", runtime, value) for runtime, value in (("both", 2.0), ("litert", 3.0))]
    assert kept(litert_two.bars(rows)) == [True, True]
    assert kept(litert_two.bars([*rows, litert_two.Row("net", "onnxruntime", 1.9)])) == [True, False]
    assert kept(litert_two.bars([replace(rows[0], failed="noise"), rows[1]])) == [False, True]
    assert kept(litert_two.bars([replace(rows[0], objective=None, failed="no plan"), rows[1]])) == [
        False,
        False,
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"failed": "noise_relative_rms is 3 on 16 evaluation samples, budget 2"},
        {"wrong": ("3: other bits",)},
        {"bit_equal": False},
    ],
)
def test_a_network_counts_if_it_goes_all_the_way(change):
    row = litert_keras.Row("net", units=9, int8=9, cuts=9, bit_equal=True)
    assert kept(litert_keras.bars([row, row])) == [True]
    assert kept(litert_keras.bars([row, replace(row, **change)])) == [False]


@needs_tensorflow
def test_a_small_network_goes_from_keras_to_a_verified_plan(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (row,) = litert_keras.run("DS-CNN")
    assert (row.failed, row.wrong, row.bit_equal) == ("", (), True)
    assert row.operators == row.units == row.int8 == 11
    assert row.cuts == litert_keras.CUTS
    assert 0 < row.plan_noise <= row.noise_budget
    assert {part.split()[0] for part in row.placed.split(", ")} == {"camera", "server"}
    assert row.is_kept


def test_ratios_are_of_the_same_rounds():
    slow = np.array([1.0, 10.0, 1.0])  # a slow second round slows both
    turns = Turns(np.stack([[slow, 2 * slow]] * 3))
    assert turns.ratio(1, 0) == 2.0
    assert turns.most_apart(0, 0) == 0.0
    assert turns.of(1) == 2.0


def test_a_network_that_fails_is_missed(capsys):
    part = litert.parts(plans=1, samples=1)["cuts"]
    assert kept(litert.show("cuts", part, ["no such network"])) == [False]
    assert capsys.readouterr().out == ""  # no rows, no table
