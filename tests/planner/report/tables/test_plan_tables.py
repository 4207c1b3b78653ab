import math
import re
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from made_records import CHAIN, CONVERTED, CUT, MEASURED, PREDICTED, SCENARIO, made_manifest, made_plan
from terminal_text import check_golden, printed

from planner.plan.manifest import Port
from planner.plan.plan_record import CostDoubt, NoisyCosts, SingleDevice, WireFormat
from planner.refinement.outcome import Outcome
from planner.report.tables.inspection_table import inspection_table
from planner.report.tables.plan_tables import broken_text, conversion_lines, plan_table, undelivered_text
from planner.report.tables.profile_tables import diff_table, profile_table
from profiling.inspection import End, Inspection, UnitFacts
from profiling.precision import Precision
from profiling.records.profile import (
    LatencyProfile,
    NoiseProfile,
    Profile,
    SwitchCost,
    TensorNoise,
    UnitCost,
    UnitNoise,
)
from profiling.records.profile_diff import ProfileDiff, UnitChange

GOLDEN = Path(__file__).parent / "golden"
replaced = msgspec.structs.replace


def plan_text(**changes) -> str:
    return printed(plan_table(made_plan(**changes), made_manifest()))


def test_a_plan_reads_as_the_golden_file_says(request):
    check_golden(plan_text(), GOLDEN / "plan.txt", request)


def test_a_sentence_before_a_table_ends_its_line_and_shows_no_escapes():
    assert "\\" not in plan_text()
    assert "would allow that\n\non the links" in re.sub(r" +\n", "\n", plan_text())


def test_a_stage_without_units_and_an_input_as_it_arose_are_explained():
    port = Port(name="relu2", dtype="float32", shape=(1,))
    coded = Port(name="relu2_quantized", dtype="uint8", shape=(1,))
    manifest = made_manifest()
    last = replaced(manifest.stages[-1], number=2, units=0, inputs=(coded,), outputs=(port,))
    manifest = replaced(manifest, stages=(*manifest.stages, last))
    plan = made_plan()
    raw = replaced(plan.cuts[0], tensor="picture", wire=WireFormat.RAW, size_bytes=60_000)
    text = " ".join(printed(plan_table(replaced(plan, cuts=(*plan.cuts, raw)), manifest)).split())
    assert "stage 02 has no units: it only brings relu2 into another format" in text
    assert "picture counts its wire_bytes, 58.6 KiB, on the links: hosts of plan deploy send" in text
    assert "no units" not in plan_text()
    assert "wire_bytes" not in plan_text()


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?:e-\d+)?", text)]


@pytest.mark.parametrize(
    "value",
    [
        PREDICTED.latency_s * 1e3,
        PREDICTED.transfer_s * 1e3,
        PREDICTED.latency_ratio_to_fp32,
        PREDICTED.chain_ratio_to_fp32,
        PREDICTED.noise_relative_rms,
        PREDICTED.money,
        *(seconds * 1e3 for seconds in PREDICTED.compute_s.values()),
        *(joules * 1e3 for joules in PREDICTED.energy_device_j.values()),
        *(size / 2**10 if size < 2**20 else size / 2**20 for size in PREDICTED.weight_bytes.values()),
        *(size / 2**10 if size < 2**20 else size / 2**20 for size in PREDICTED.compressed_bytes.values()),
        MEASURED.latency_ratio_to_fp32,
        MEASURED.chain_ratio_to_fp32,
        MEASURED.noise_relative_rms,
        MEASURED.max_abs_error,
        MEASURED.top1_agreement * 100,
        MEASURED.accuracy * 100,
        MEASURED.accuracy_fp32 * 100,
        MEASURED.metric,
        MEASURED.metric_fp32,
        MEASURED.samples,
        CUT.size_bytes / 2**10,
        CUT.seconds * 1e3,
        CHAIN.integer_kernels,
        CHAIN.integer_kernels_whole,
        CHAIN.added_transposes,
        CHAIN.default_relative_difference,
        0.0000468,
        1.73,
        811,
        922,
        347,
        0.571,
        0.632,
    ],
)
def test_each_number_of_a_plan_is_shown(value):
    shown = numbers(plan_text())
    assert any(math.isclose(value, number, rel_tol=0.03) for number in shown)


def test_budgets_tell_what_memory_is_made_of_and_where_answers_may_be():
    budget = {"memory_mib": {"camera": 2.0}, "accuracy_drop": 0.03, "noise_relative_rms": 0.1}
    text = " ".join(plan_text(scenario=SCENARIO | {"budget": budget}).split())
    assert (
        "memory of camera: 1.44 MiB of 2.00 MiB, 429.7 KiB for weights and 1.02 MiB for inputs and outputs "
        "of the largest unit"
    ) in text
    assert (
        "accuracy_drop is 0.0222, limit 0.03; on all such samples 0.0073 to 0.0415 (95 % confidence): kept, "
        "but with 77 % certainty: about 936 more samples would say"
    ) in text
    assert "noise_relative_rms is 0.0456, limit 0.1; on all such samples" in text
    assert "kept with more than 99.9 % certainty" in text
    assert "memory of" not in plan_text()


def test_a_device_that_breaks_a_budget_alone_says_by_how_much():
    row = SingleDevice(
        device="camera",
        precision=Precision.INT8,
        objective=0.1,
        latency_s=0.1,
        broken=("memory of camera", "noise"),
        exceeded_by={"memory of camera": 0.284, "noise": 0.0123},
    )
    assert "memory of camera by 28%, noise by 1.2%" in plan_text(single_device=(row,))


def test_optimal_never_stands_alone_where_costs_are_in_doubt():
    doubt = CostDoubt(predicted=0.8, measured=1.0, low=0.99, high=1.02, difference=0.25)
    text = plan_text(cost_doubt=doubt)
    assert text.count("optimal") == text.count("optimal plan for costs in doubt") + text.count(
        "highs: optimal for costs in doubt"
    )
    assert "the built stages take 25% longer than predicted" in " ".join(text.split())
    assert "doubt" not in plan_text().replace("a doubt", "")


def test_optimal_never_stands_alone_where_costs_are_noisy():
    noisy = NoisyCosts(device="camera", spread=0.23, clock="cpu", disturbed=0.4, waiting=2.0)
    text = " ".join(plan_text(noisy_costs=(noisy,)).split())
    assert text.startswith("optimal plan for noisy costs (spread 23%)")
    assert text.count("optimal") == text.count("for noisy costs (spread 23%)")
    assert "fp32 runs of camera spreads by 23%, and 40% of them were disturbed" in text
    assert "noisy" not in plan_text()


def test_samples_that_are_made_up_say_so_in_the_table():
    made_up = replaced(MEASURED, samples_note="random numbers: errors mean nothing yet")
    text = plan_text(measured=made_up)
    assert "the evaluation samples are random numbers: errors mean nothing yet" in text
    assert "413 (see the note)" in text
    assert "see the note" not in plan_text()


def test_what_overlaps_is_told_of_other_objectives_than_latency():
    assert "209.80 ms" not in plan_text()
    objective = replaced(made_plan().objective, name="makespan")
    text = plan_text(objective=objective)
    assert "209.80 ms" in text
    assert "4.972" in text


def test_a_device_of_several_stages_has_its_seconds_behind_the_last_one():
    manifest = made_manifest()
    first, second = manifest.stages
    stages = (first, second, replaced(first, number=2))
    rows = printed(plan_table(made_plan(), replaced(manifest, stages=stages))).splitlines()
    own = [row.split() for row in rows if re.match(r"\s*0\d ", row)]
    assert [(row[0], row[1], row[-1]) for row in own] == [
        ("00", "camera", "+"),
        ("01", "server", "3.16"),
        ("02", "camera", "9.19"),
    ]


def test_bits_that_differ_are_said_to_in_capitals():
    assert "NOT bit-equal" not in plan_text()
    odd = replaced(MEASURED, chain=replaced(CHAIN, basic_bit_equal=False))
    assert "NOT bit-equal at basic" in plan_text(measured=odd)


def test_a_plan_without_crossings_says_so():
    text = plan_text(cuts=())
    assert "nothing crosses a link" in text
    assert "on the links" not in text


def test_answers_that_cannot_be_judged_have_no_row():
    silent = replaced(MEASURED, top1_agreement=None, accuracy=None, metric=None)
    text = plan_text(measured=silent)
    for name in ("top-1", "accuracy (", "metric"):
        assert name in plan_text()
        assert name not in text


def test_why_there_is_no_plan_names_what_fp32_breaks_before_what_conflicts():
    plan = made_plan()
    few = "413 evaluation samples are too few for accuracy_drop 0.004"
    conflict = Outcome(plan, None, {}, conflict="latency cannot be kept")
    assert undelivered_text(conflict).startswith(f"latency cannot be kept; {few}")
    text = undelivered_text(replace(conflict, failures=("a is 2", "b is 3")))
    assert text.startswith(
        "infeasible: even without quantization noise the held-back data show a is 2; b is 3; "
    )
    assert "latency" not in text
    assert few in text


def test_what_the_evaluation_data_broke_stands_before_advice():
    text = broken_text(made_plan(), ("noise is 0.2",))
    assert text.startswith("verification failed: noise is 0.2; 413 evaluation samples are too few")
    assert "\n" not in text
    assert text.endswith("so that the held-back quarter is larger")
    held_back = replaced(made_plan().too_few_samples[0], data="calibration")
    assert "too few" not in broken_text(made_plan(too_few_samples=(held_back,)), ("noise is 0.2",))


@pytest.mark.parametrize(("limit", "is_told"), [(0, True), (0.002, True), (0.003, False)])
def test_a_budget_that_allows_no_lost_answer_is_told_to_be_less_than_one(limit, is_told):
    plan = made_plan(scenario=SCENARIO | {"budget": {"accuracy_drop": limit}})
    measured = replaced(plan.measured, accuracy=0.8320, accuracy_fp32=0.8345, samples=413)
    text = broken_text(replaced(plan, measured=measured), ("accuracy_drop is 0.0025",))
    assert ("allows no lost answer, since one of 413 is 0.0024; the plan lost 1" in text) == is_told


def test_a_conversion_is_told_with_its_differences_doubt_and_notes():
    first, channels, doubt, note = conversion_lines(CONVERTED)
    assert first == (
        "converted from net.keras to opset 17 (keras 3.15.0); on 4 calibration samples the answers differ "
        "by at most 2.3e-05 (relative RMS error 7.8e-07)"
    )
    assert channels.startswith("channels come first in image;")
    assert (doubt, note) == ("warning: a doubt", "a note")
    plain = replaced(CONVERTED, channels_first=(), doubt="", notes=(), samples=1)
    assert len(conversion_lines(plain)) == 1
    assert "on a sample of calibration samples" in conversion_lines(plain)[0]
    assert conversion_lines(None) == []


INT8, FP32 = Precision.INT8, Precision.FP32
LATENCY = LatencyProfile(
    model_sha256="ab" * 32,
    runtime_version="1.31.1",
    scheme="int8",
    overflows=False,
    processor="a processor",
    threads=3,
    provider="CPU",
    samples=41,
    runs_s={},
    spread=0.0321,
    noisy=True,
    wall_s={FP32: 0.00711, INT8: 0.00322},
    unattributed_s={FP32: 0.00031, INT8: 0.00022},
    profiled_s={},
    units=(UnitCost("u", FP32, 0.0041), UnitCost("v", FP32, 0.0026), UnitCost("u", INT8, 0.0029)),
    switches=(
        SwitchCost("x", FP32, INT8, 1e-5, measured=True),
        SwitchCost("y", FP32, INT8, 1e-5, measured=False),
        SwitchCost("z", FP32, INT8, 1e-5, measured=False),
    ),
    start_s=1e-5,
    seams=(),
    wires=(),
)
NOISE = NoiseProfile("ab" * 32, "1.31.1", "int8", 8, (TensorNoise("x", 0.0009),), (UnitNoise("u", 0.0007),))


def test_a_profile_reads_as_the_golden_file_says(request):
    text = printed(profile_table(Profile(4, "camera", LATENCY, (NOISE,))))
    check_golden(text, GOLDEN / "profile.txt", request)
    assert f"{(0.0009 + 0.0007) ** 0.5:.4f}" in text
    assert f"{(0.0041 + 0.0026) * 1e3:.3f}" in text


def test_two_profiles_read_as_the_golden_file_says(request):
    changes = tuple(
        UnitChange(f"unit{n}", FP32, 1e-4 * (n + 1), 1.5e-4 * (n + 1), 0.5, 0.41) for n in range(12)
    )
    diff = ProfileDiff({"threads": ("1", "2")}, 55, 1.1, 0.043, {FP32: 0.1, INT8: -0.02}, changes)
    text = printed(diff_table(diff))
    check_golden(text, GOLDEN / "profile_diff.txt", request)
    assert "unit9" in text
    assert "unit10" not in text
    assert "no unit changed beyond its spread" in printed(diff_table(ProfileDiff({}, 5, 1.0, 0.0, {}, ())))


def test_an_inspected_model_reads_as_the_golden_file_says(request):
    units = (
        UnitFacts("conv", ("Conv", "Relu"), "", False, 4_000, 1_000, 2_000, 0.00312),
        UnitFacts("softmax", ("Softmax",), "Softmax stays in float", False, 0, 0, 40, 0.00007),
        UnitFacts("old", ("QLinearConv",), "", True, 900, 900, 700, None),
    )
    found = Inspection(
        model="m.onnx",
        opset=17,
        inputs=(End("x", "float32", (1, 3, 8, 8), 768),),
        outputs=(End("y", "float32", (), 4),),
        operators={"Conv": 1, "Softmax": 1},
        units=units,
        tried_out=False,
    )
    text = printed(inspection_table(found))
    check_golden(text, GOLDEN / "inspection.txt", request)
    rows = [row.split() for row in text.splitlines()]
    assert [row[0] for row in rows if row and row[0] in ("conv", "softmax", "old")] == [
        "conv",
        "softmax",
        "old",
    ]


def test_a_model_for_litert_reads_as_the_golden_file_says(request):
    modes = {"int8": "", "float16": "SOFTMAX: LiteRT's quantizer has no float16 form of it"}
    units = (
        UnitFacts("conv", ("CONV_2D",), "", False, 4_000, 1_000, 2_000, 0.00312, dict.fromkeys(modes, "")),
        UnitFacts("softmax", ("SOFTMAX",), "", False, 0, 0, 40, 0.00007, modes),
    )
    ends = (End("x", "float32", (1, 8, 8, 3), 768),)
    found = Inspection("m.tflite", 0, ends, ends, {"CONV_2D": 1, "SOFTMAX": 1}, units, runtime="litert")
    text = printed(inspection_table(found))
    check_golden(text, GOLDEN / "inspection_litert.txt", request)
    assert "opset" not in text
    assert "no mode was tried out" in printed(inspection_table(replace(found, tried_out=False)))
    given = [replace(unit, quantized=True) for unit in found.units]
    first = printed(inspection_table(replace(found, units=[given[0], *found.units[1:]])))
    assert "int8                                 1" in first  # the one that came quantized is told of above
    assert "precisions besides" not in printed(inspection_table(replace(found, units=given)))


def test_costs_of_a_table_are_told_with_their_file():
    table = SCENARIO | {"devices": [{"name": "camera", "profile": "x/own.csv"}, SCENARIO["devices"][1]]}
    text = printed(plan_table(made_plan(scenario=table), made_manifest()))
    assert "costs of camera, server: own.csv; not measured here" in text
    assert "not measured here" not in plan_text()


def test_a_plus_for_seconds_of_a_later_stage_is_explained_where_it_stands():
    manifest = made_manifest()
    first, *others = manifest.stages
    again = replaced(manifest, stages=(first, *others, replaced(first, number=len(manifest.stages))))
    once = replaced(manifest, stages=(first,))
    texts = [printed(plan_table(made_plan(), stages)) for stages in (again, once)]
    assert ["+: counted in the device's later stage" in text for text in texts] == [True, False]
