import pytest

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
import numpy as np
import tflite_models
from repository import ROOT

from planner.deployment.litert_stages import litert_mixed, litert_stages
from planner.deployment.stage_tasks import Placement
from planner.errors import RebuildError
from profiling.litert.load import load_litert, parse_litert
from profiling.litert.planning.litert_model import LitertRuntimeModel
from profiling.litert.unit_graph import build_litert_graph
from profiling.precision import Precision
from profiling.runtime.open_session import Runtime, run_session
from profiling.stage_session import open_stage

DEVICES = "abc"


class Prepared:
    """A graph with its ranges, and a sample."""

    def __init__(self, model, folder):
        self.graph = build_litert_graph(model)
        rng = np.random.default_rng(0)
        tensors = [self.graph.tensors[name] for name in self.graph.inputs]
        self.samples = [
            {one.name: rng.uniform(size=one.shape).astype(one.dtype) for one in tensors} for _ in range(4)
        ]
        self.ranges = folder / "ranges.json"
        LitertRuntimeModel(self.graph).calibrate(self.samples, self.ranges)

    def built(self, mix, placement):
        return litert_stages(self.graph, litert_mixed(self.graph, mix, self.ranges), mix, placement)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    path = ROOT / "scenarios" / "litert" / "digits.tflite"
    return Prepared(load_litert(path), tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def branching(tmp_path_factory):
    model = parse_litert(tflite_models.branching().content(), "branching")
    return Prepared(model, tmp_path_factory.mktemp("branching"))


@pytest.fixture(scope="module")
def two_scales(tmp_path_factory):
    model = parse_litert(tflite_models.read_on_two_scales().content(), "two scales")
    return Prepared(model, tmp_path_factory.mktemp("two_scales"))


def random_plan(graph, rng):
    """Return the precisions of units, and devices in runs of random length."""
    share, changes = rng.uniform(0.1, 0.9), rng.uniform(0.05, 0.6)
    mix = {u.index: Precision.INT8 for u in graph.units if u.quantizable and rng.random() < share}
    devices, current = [], "a"
    for _ in graph.units:
        current = rng.choice(list(DEVICES)) if rng.random() < changes else current
        devices.append(str(current))
    return mix, Placement(tuple(devices), rng.choice(list(DEVICES)), rng.choice(list(DEVICES)))


def run_chain(stages, feeds):
    values = dict(feeds)
    for stage in stages:
        values |= run_session(
            open_stage(stage.model, Runtime()), {name: values[name] for name in stage.inputs}
        )
    return values


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("name", ["digits", "branching", "two_scales"])
def test_a_chain_of_any_plan_is_the_whole_model_and_integers_cross(name, seed, request):
    prepared = request.getfixturevalue(name)
    graph = prepared.graph
    mix, placement = random_plan(graph, np.random.default_rng(seed))
    mixed, stages = prepared.built(mix, placement)
    assert sorted(unit for stage in stages for unit in stage.units) == list(range(len(graph.units)))
    assert all(placement.devices[unit] == stage.device for stage in stages for unit in stage.units)
    for feeds in prepared.samples[:2]:
        whole = run_session(open_stage(mixed, Runtime()), feeds)
        values = run_chain(stages, feeds)
        assert all(values[end].tobytes() == whole[end].tobytes() for end in graph.outputs)
    made_at = {name: stage.device for stage in stages for name in stage.outputs}
    for stage in stages:
        for read in stage.inputs:
            if made_at.get(read, placement.source) == stage.device or not stage.model.tensors[read].is_float:
                continue
            # A float that crosses has no integers.
            assert not any(read.startswith(quantized) for quantized in graph.tensor_precisions(mix))


def test_an_input_that_is_quantized_crosses_in_a_byte_and_an_output_comes_back_at_the_sink(digits):
    everything = {unit.index: Precision.INT8 for unit in digits.graph.units}
    placement = Placement(("b",) * len(digits.graph.units), "a", "c")
    _, stages = digits.built(everything, placement)
    assert [stage.device for stage in stages] == ["a", "b", "c"]
    assert [stage.units for stage in stages] == [(), tuple(range(len(digits.graph.units))), ()]
    crossing = [stages[0].model.tensors[stages[0].outputs[0]], stages[1].model.tensors[stages[1].outputs[0]]]
    assert [(one.dtype, one.shape) for one in crossing] == [("int8", (1, 64, 64, 1)), ("int8", (1, 10))]


@pytest.mark.parametrize("precision", [Precision.INT8, Precision.INT16])
def test_integers_that_one_reader_wants_on_another_scale_cross_once(two_scales, precision):
    everything = {unit.index: precision for unit in two_scales.graph.units}
    mixed, stages = two_scales.built(everything, Placement(("a", "a", "b", "b"), "a", "b"))
    requantizing = [
        number
        for number, kind in enumerate(mixed.quantized.model.op_types)
        if kind == "QUANTIZE" and mixed.quantized.conversions[number] == "stem"
    ]
    assert len(requantizing) == 1
    assert stages[0].outputs == ("stem", "wide")
    for feeds in two_scales.samples:
        whole, values = run_session(open_stage(mixed, Runtime()), feeds), run_chain(stages, feeds)
        assert all(values[end].tobytes() == whole[end].tobytes() for end in two_scales.graph.outputs)


def test_what_is_quantized_behind_a_float_reader_is_brought_back_before_it(tmp_path):
    model = parse_litert(tflite_models.quantized_behind_a_reader().content(), "behind")
    prepared = Prepared(model, tmp_path)
    kinds = [unit.op_types for unit in prepared.graph.units]
    assert kinds == [("NEG",), ("CONV_2D",), ("RELU",)]
    mixed, stages = prepared.built({2: Precision.INT8}, Placement(("a", "b", "b"), "a", "b"))
    written = set(mixed.quantized.model.inputs.values())
    parted = mixed.quantized.model
    for operator in parted.operators:
        read = [int(t) for t in operator.inputs if t >= 0 and not parted.is_constant(int(t))]
        assert written.issuperset(read)
        written.update(map(int, operator.outputs))
    for feeds in prepared.samples:
        whole, values = run_session(open_stage(mixed, Runtime()), feeds), run_chain(stages, feeds)
        assert all(values[end].tobytes() == whole[end].tobytes() for end in prepared.graph.outputs)
        exact = run_session(open_stage(prepared.graph.fp32_model, Runtime()), feeds)
        assert np.allclose(whole["float"], exact["float"], atol=0.1)


def test_an_output_that_others_read_as_integers_comes_back_at_the_sink(branching):
    graph = branching.graph
    (reader,) = (unit for unit in graph.units if unit.name == "chances")
    placement = Placement(("b",) * len(graph.units), "b", "c")
    mixed, stages = branching.built({reader.index: Precision.INT8}, placement)
    assert [(stage.device, "logits" in stage.outputs) for stage in stages] == [("b", False), ("c", True)]
    dtypes = [stages[1].model.tensors[name].dtype for name in stages[1].inputs]
    assert dtypes == ["int8"] * len(dtypes)
    whole = run_session(open_stage(mixed, Runtime()), branching.samples[0])
    values = run_chain(stages, branching.samples[0])
    assert all(values[name].tobytes() == whole[name].tobytes() for name in graph.outputs)


def test_an_input_may_cross_as_it_arose(digits):
    everything = {unit.index: Precision.INT8 for unit in digits.graph.units}
    placement = Placement(("b",) * len(digits.graph.units), "a", "b", frozenset({"picture"}))
    _, stages = digits.built(everything, placement)
    assert [stage.device for stage in stages] == ["b"]
    assert stages[0].model.tensors["picture"].dtype == "float32"


def test_a_unit_that_cannot_be_as_the_plan_says_is_named(digits):
    empty = digits.ranges.with_name("empty.json")
    empty.write_text('{"ranges": {}}')
    with pytest.raises(RebuildError, match=r"unit '.*' cannot be int8: .* has no finite range"):
        litert_mixed(digits.graph, {0: Precision.INT8}, empty)
