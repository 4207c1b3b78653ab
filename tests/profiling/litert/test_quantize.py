import os
import random
import subprocess
import sys

import flatbuffers
import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
pytest.importorskip("litert_quantizer", reason="the extra litert is not installed")
import tflite_models
from crash_notes import write_crashes
from tflite_models import OPS, Model, feeds
from tflite_units import cut_units

from profiling.errors import QuantizeError
from profiling.litert import quantize
from profiling.litert.calibration import calibrate_litert
from profiling.litert.cut import whole_stage
from profiling.litert.interpreter import is_delegated, run_chain
from profiling.litert.load import parse_litert
from profiling.litert.mode_search import find_modes, relative_error
from profiling.litert.modes import DYNAMIC_INT8, FLOAT16, FP32, INT8, INT16, MODES, WEIGHT_INT8
from profiling.litert.neutral_model import neutral_model
from profiling.litert.quantize import quantize_units
from profiling.litert.unit_graph import build_litert_graph, tensor_quantization
from profiling.runtime.crash_journal import CrashJournal


class Case:
    """A model with its ranges and samples."""

    def __init__(self, model):
        self.graph = build_litert_graph(parse_litert(model.content(), "m"))
        self.samples = [feeds(self.graph.model, seed) for seed in range(4)]
        self.ranges = calibrate_litert(self.graph.model, self.samples)
        self.units = {unit.name: unit.index for unit in self.graph.units}

    def quantized(self, modes):
        return quantize_units(self.graph, modes, self.ranges)

    def run(self, parted, stages=None):
        stages = [whole_stage(parted.model)] if stages is None else cut_units(parted, stages)
        return [run_chain(self.graph.model, stages, sample) for sample in self.samples]

    def error(self, parted):
        pairs = zip(self.run(self.graph), self.run(parted), strict=True)
        return max(relative_error(expected, found) for expected, found in pairs)


@pytest.fixture(scope="module")
def branching():
    return Case(tflite_models.branching())


@pytest.mark.parametrize(
    ("mode", "most"),
    [(INT8, 0.05), (INT16, 0.01), (DYNAMIC_INT8, 0.03), (WEIGHT_INT8, 0.03), (FLOAT16, 1e-3)],
)
def test_a_model_in_one_mode_is_near_the_float_model(branching, mode, most):
    found = branching.quantized(dict.fromkeys(range(len(branching.graph.units)), mode))
    assert mode in found.modes
    assert 0 < branching.error(found) < most
    assert all(found.modes[unit] is FP32 for unit in found.reasons)


@pytest.mark.parametrize("seed", range(6))
def test_mixed_models_are_bit_equal_at_every_cut_and_read_back_as_asked(branching, seed):
    count = len(branching.graph.units)
    rng = random.Random(seed)
    asked = {unit: rng.choice(MODES) for unit in range(count)}
    found = branching.quantized(asked)
    for unit, mode in enumerate(found.modes):
        assert mode is asked[unit] or (mode is FP32 and found.reasons[unit])
    assert branching.error(found) < 0.2
    expected = branching.run(found)
    for stages in [[range(k), range(k, count)] for k in range(1, count)] + [[[k] for k in range(count)]]:
        for one, other in zip(expected, branching.run(found, stages), strict=True):
            assert all(np.array_equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("seed", range(12))
def test_random_graphs_in_random_modes_are_near_float_and_equal_in_stages(seed):
    case = Case(tflite_models.random_graph(seed))
    count = len(case.graph.units)
    rng = random.Random(seed)
    found = case.quantized({unit: rng.choice([FP32, INT8, INT16, *MODES]) for unit in range(count)})
    assert not [reason for reason in found.reasons.values() if "without a word" in reason]
    assert case.error(found) < 0.15
    for one, other in zip(case.run(found), case.run(found, [[k] for k in range(count)]), strict=True):
        assert all(np.array_equal(one[key], other[key]) for key in one)


def test_integers_cross_where_both_sides_compute_in_them(branching):
    units = branching.units
    found = branching.quantized({units["stem"]: INT8, units["left"]: INT8})
    first, second = cut_units(found, [[units["stem"]], [u for u in units.values() if u != units["stem"]]])
    part = parse_litert(first.content, "part")
    kinds = {name: part.element_type(tensor).name for name, tensor in part.outputs.items()}
    assert list(kinds.values()) == ["int8"]
    assert set(second.inputs) == {*kinds, "meta"}
    (tensor,) = part.outputs.values()
    assert len(tensor_quantization(part, tensor).scales) == 1


def test_only_the_unit_that_is_asked_for_is_quantized_whatever_tensors_are_called():
    case = Case(tflite_models.oddly_named())
    for unit in range(len(case.graph.units)):
        found = case.quantized({unit: INT8})
        assert [index for index, mode in enumerate(found.modes) if mode is not FP32] == [unit]
        assert set(found.model.outputs) == {"a"}
        assert 0 < case.error(found) < 0.1


def test_inputs_and_outputs_keep_names_and_types(branching):
    found = branching.quantized(dict.fromkeys(range(len(branching.graph.units)), INT8)).model
    source = branching.graph.model
    assert list(found.inputs) == list(source.inputs)
    assert set(found.outputs) == set(source.outputs)
    for ends, there in ((found.inputs, source.inputs), (found.outputs, source.outputs)):
        for key, tensor in ends.items():
            assert found.element_type(tensor).name == "float32"
            assert found.names[tensor] == source.names[there[key]]


def test_an_output_that_the_last_operator_reads_is_still_read_in_integers(branching):
    """The quantizer rewires the last operator of a graph: it takes the caller, -1, for an index."""
    found = branching.quantized({branching.units["logits"]: INT8, branching.units["chances"]: INT8})
    assert found.modes[branching.units["chances"]] is INT8
    assert branching.error(found) < 0.05


def shared_weights():
    model = Model(2)
    flow = model.input("image", (1, 4, 4, 4))
    weights = model.weight("w", (4, 1, 1, 4))
    for name in ("one", "two", "three"):
        flow = model.conv(flow, name, 4, weights=weights)
    return model.give(flow)


def test_operators_that_share_weights_take_different_modes():
    case = Case(shared_weights())
    found = case.quantized({0: INT8, 1: DYNAMIC_INT8})
    assert found.modes == (INT8, DYNAMIC_INT8, FP32)
    assert case.error(found) < 0.05


def test_equal_weights_are_stored_once():
    case = Case(shared_weights())
    one = case.quantized({0: WEIGHT_INT8, 1: WEIGHT_INT8, 2: WEIGHT_INT8})
    buffers = parse_litert(whole_stage(one.model).content, "m").tables.buffers
    assert (
        sum(buffer.data is not None and buffer.data.nbytes == 16 for buffer in buffers) <= 1 + 3
    )  # and biases


def test_what_the_quantizer_does_not_know_stays_in_float_with_the_reason():
    model = Model(3)
    image = model.input("image", (1, 4, 4, 4))
    flow = model.unary(OPS.ABS, model.conv(image, "conv", 4), "size")
    case = Case(model.give(model.softmax(flow, "y")))
    found = case.quantized(dict.fromkeys(range(3), INT8))
    assert found.modes == (INT8, FP32, INT8)
    assert found.reasons == {1: "ABS: LiteRT's quantizer does not know it"}
    assert case.error(found) < 0.05
    dynamic = case.quantized({2: DYNAMIC_INT8})
    assert dynamic.reasons == {2: "SOFTMAX: LiteRT's quantizer has no int8-dynamic form of it"}


def test_a_silent_skip_is_found_by_reading_back(branching, monkeypatch):
    run = quantize.run_quantizer
    monkeypatch.setattr(
        quantize, "run_quantizer", lambda content, wanted, ranges: run(content, wanted[:1], ranges)
    )
    found = branching.quantized({0: INT8, 1: INT8})
    assert found.modes[:2] == (INT8, FP32)
    assert found.reasons == {1: "LiteRT's quantizer left it as it is, without a word"}


def test_what_came_quantized_stays_so(branching):
    all_int8 = branching.quantized(dict.fromkeys(range(len(branching.graph.units)), INT8))
    graph = build_litert_graph(parse_litert(whole_stage(all_int8.model).content, "m"))
    assert {unit.obstacle for unit in graph.units} == {"is quantized already"}
    again = quantize_units(graph, dict.fromkeys(range(len(graph.units)), INT16), {})
    assert set(again.modes) == {FP32}
    assert all(unit.quantized for unit in graph.units if unit.op_types[0] == "CONV_2D")


def test_a_tensor_that_is_infinite_has_no_range():
    model = Model(4)
    image = model.input("image", (1, 4, 4, 4))
    flow = model.unary(OPS.LOG, model.conv(image, "conv", 4), "log")  # of what ReLU made zero
    case = Case(model.give(model.softmax(flow, "y")))
    found = case.quantized(dict.fromkeys(range(3), INT8))
    assert found.modes[2] is FP32
    assert found.reasons[2] == "'log' has no finite range on the samples"


def test_ranges_hold_over_all_samples(branching):
    values = [feeds_value["image"] for feeds_value in branching.samples]
    low, high = branching.ranges[branching.graph.model.inputs["image"]]
    assert (low, high) == (min(v.min() for v in values), max(v.max() for v in values))


def test_no_samples_are_refused(branching):
    with pytest.raises(QuantizeError, match="at least one sample"):
        calibrate_litert(branching.graph.model, [])


def test_a_unit_that_the_runtime_refuses_is_found_among_many(monkeypatch):
    case = Case(tflite_models.branching())
    run = quantize.run_quantizer
    logits = case.graph.model.names.index("logits")

    def with_a_flaw(content, wanted, ranges):
        """Quantize one unit with a range far too small, whatever else is quantized."""
        mine = any(request.outputs == (f"t{logits}",) for request in wanted)
        return run(content, wanted, {**ranges, f"t{logits}": (-1e-6, 1e-6, 2)} if mine else ranges)

    monkeypatch.setattr(quantize, "run_quantizer", with_a_flaw)
    modes = find_modes(case.graph, case.ranges, case.samples[:1], [INT8])
    assert [name for name, unit in case.units.items() if INT8 not in modes[unit].possible] == ["logits"]
    assert modes[case.units["logits"]].reasons["int8"].startswith("fails in int8: LiteRT fails")


def test_a_unit_that_a_mode_would_take_out_of_the_delegate_is_not_offered_it():
    """Its kernel would be several times as slow as in float, and cut what the delegate runs in two."""
    model = Model(7)
    image = model.input("image", (1, 6, 6, 8))
    wide = model.depthwise(model.conv(image, "wide", 8), "wide/each")
    case = Case(model.give(model.conv(wide, "y", 4)))
    modes = find_modes(case.graph, case.ranges, case.samples[:1], [DYNAMIC_INT8, WEIGHT_INT8])
    able = {
        mode: [unit for unit, one in enumerate(modes) if mode in one.possible]
        for mode in (DYNAMIC_INT8, WEIGHT_INT8)
    }
    assert able == {DYNAMIC_INT8: [0, 2], WEIGHT_INT8: [0, 1, 2]}
    assert modes[1].reasons == {"int8-dynamic": "XNNPACK has no kernel for it in int8-dynamic"}
    whole = whole_stage(case.quantized(dict.fromkeys(range(3), DYNAMIC_INT8)).model)
    assert not is_delegated(whole.content)
    assert is_delegated(
        whole_stage(case.quantized(dict.fromkeys(able[DYNAMIC_INT8], DYNAMIC_INT8)).model).content
    )


def test_relative_errors_count_all_outputs():
    expected = {"a": np.array([3.0, 0.0]), "b": np.array([4.0])}
    assert relative_error(expected, expected) == 0
    assert relative_error(expected, {"a": np.array([3.0, 3.0]), "b": np.array([8.0])}) == 1
    assert relative_error(expected, {"a": np.array([3.0, np.nan]), "b": np.array([4.0])}) == np.inf
    assert relative_error({"a": np.zeros(2)}, {"a": np.ones(2)}) == np.inf


def test_a_mode_knows_its_bits():
    assert [(m.weight_bits, m.activation_bits) for m in MODES] == [
        (32, 32), (8, 8), (8, 16), (8, 32), (4, 32), (8, 32), (4, 32), (16, 32),
    ]  # fmt: skip
    assert [m.name for m in MODES if m.is_static] == ["int8", "int16"]


def test_an_integer_operator_says_so():
    model = Model(5)
    numbers = model.input("numbers", (1, 4), "int32")
    image = model.input("image", (1, 4))
    total = model.op(OPS.ADD, [numbers, numbers], [model.tensor("total", (1, 4), dtype="int32")])
    case = Case(model.give(model.softmax(image, "y"), total))
    found = case.quantized({case.units["total"]: INT8})
    assert found.reasons == {case.units["total"]: "ADD computes on integers"}


def test_no_announcement_of_the_runtime_is_left_on_the_error_stream():
    """In a process of its own: the runtime announces its delegate once."""
    script = (
        "import tflite_models\n"
        "from profiling.litert.load import parse_litert\n"
        "from profiling.litert.modes import INT8\n"
        "from profiling.litert.quantize import quantize_units\n"
        "from profiling.litert.unit_graph import build_litert_graph\n"
        "graph = build_litert_graph(parse_litert(tflite_models.branching().content(), 'm'))\n"
        "ranges = dict.fromkeys(range(len(graph.model.names)), (-1.0, 1.0))\n"
        "quantize_units(graph, {0: INT8}, ranges)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_answer_of_another_shape_is_wrong():
    one, other = np.ones((12, 2)), np.ones((11, 2))
    assert relative_error({"y": one}, {"y": other}) == float("inf")


def test_infinite_answers_are_compared_without_a_warning():
    infinite = np.array([np.inf, 1.0])
    assert relative_error({"y": infinite}, {"y": infinite}) == float("inf")


@pytest.fixture
def journal(tmp_path):
    return tmp_path / "tried.journal"


def find(case, journal):
    return find_modes(case.graph, case.ranges, case.samples[:1], [INT8], CrashJournal(journal))


def test_over_what_litert_died_is_tried_unit_by_unit(branching, journal):
    units, able = branching.graph.units, find(branching, journal)
    tried = [unit.index for unit in units if INT8 in able[unit.index].possible]
    first, last = units[tried[0]].name, units[tried[-1]].name
    notes = [f"{len(tried)} units from {first} to {last} in int8", "stem in int8"]
    write_crashes(journal, *notes)
    found = find(branching, journal)
    reasons = {unit.name: one.reasons for unit, one in zip(units, found, strict=True)}
    before = {unit.name: one.reasons for unit, one in zip(units, able, strict=True)}
    assert reasons == before | {"stem": {"int8": "in int8, it ended LiteRT (it crashed)"}}


def test_units_over_which_litert_died_only_together_are_not_quantized(branching, journal):
    able = [unit for unit, one in enumerate(find(branching, journal)) if INT8 in one.possible]
    names = [branching.graph.units[unit].name for unit in able]
    write_crashes(journal, f"{len(able)} units from {names[0]} to {names[-1]} in int8")
    found = find(branching, journal)
    assert {found[unit].reasons["int8"] for unit in able} == {
        "in int8 beside others, it ended LiteRT (it crashed)"
    }


def test_weights_are_not_copied_again_while_a_file_is_written(branching, monkeypatch):
    """Where a buffer grows, all that was written is copied, which is seconds for large models."""

    def grow(_):
        raise AssertionError("the buffer was too small")

    units = range(len(branching.graph.units))
    models = [branching.quantized(dict.fromkeys(units, mode)).model for mode in MODES]
    monkeypatch.setattr(flatbuffers.Builder, "GrowByteBuffer", grow)
    assert all(whole_stage(model).content for model in models)


def test_what_the_quantizer_takes_is_written_once_for_each_model(branching):
    model = branching.graph.model
    again = parse_litert(whole_stage(model).content, "m")
    assert neutral_model(model) is neutral_model(model)
    assert neutral_model(again) is not neutral_model(model)
