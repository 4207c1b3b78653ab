import pytest

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
pytest.importorskip("litert_quantizer", reason="the extra litert is not installed")
import tflite_models
import twin_models
from onnx import numpy_helper

from profiling.errors import ModelError
from profiling.litert.planning.ranges_file import load_ranges
from profiling.precision import Precision
from profiling.quantization.ranges_file import read_ranges
from profiling.several_runtimes.own_ranges import own_ranges


@pytest.fixture(scope="module")
def branching(tmp_path_factory):
    return twin_models.joined(tflite_models.branching().content(), tmp_path_factory.mktemp("net"))


@pytest.fixture(scope="module")
def pooled(tmp_path_factory):
    model = tflite_models.Model()
    before = model.conv(model.input("image", (1, 8, 8, 4)), "before", 8)
    after = model.conv(model.max_pool(before, "pool"), "after", 8)
    return twin_models.joined(
        model.give(model.dense(model.mean(after, "mean"), "y", 3)).content(), tmp_path_factory.mktemp("net")
    )


def test_blocks_have_the_tensors_of_the_first_runtime_and_all_units_of_both(branching):
    graph = branching.graph
    litert, onnx_runtime = graph.parts["litert"], graph.parts["onnxruntime"]
    for part in (litert, onnx_runtime):
        assert sorted(u for units in part.units for u in units) == list(range(len(part.graph.units)))
    for name in graph.boundary_tensors():
        assert litert.names[name] == name
        own = onnx_runtime.graph.tensors[onnx_runtime.names[name]]
        assert graph.tensors[name].shape == tuple(own.shape[axis] for axis in onnx_runtime.axes[name])


def test_weights_are_those_of_the_runtime_that_has_most(branching):
    for block in branching.graph.units:
        weights = [
            sum(part.graph.units[unit].weight_bytes for unit in part.units[block.index])
            for part in branching.graph.parts.values()
        ]
        assert block.weight_bytes == max(weights)


def test_units_that_have_to_be_int8_together_are_blocks_of_their_own(pooled):
    graph = pooled.graph
    units = {unit.name: unit for unit in graph.units}
    assert [unit.name for unit in graph.units][:3] == ["before", "pool", "after"]
    assert {graph.units[other].name for other in units["pool"].coupled_with} == {"before", "after"}
    alone = graph.resolve_precisions({units["pool"].index: Precision.INT8})
    assert units["pool"].index not in alone


def test_refused_blocks_stay_in_fp32_in_both_runtimes(branching):
    (name,) = (unit.name for unit in branching.graph.units if unit.name == "right")
    refused = branching.model.with_refused({Precision.INT8: {name: "it is wrong"}}).graph
    (block,) = (unit for unit in refused.units if unit.name == name)
    assert block.obstacle == "it is wrong"
    for part in refused.parts.values():
        assert not any(part.graph.units[unit].can_be(Precision.INT8) for unit in part.units[block.index])
    others = [unit.name for unit in refused.units if unit.quantizable]
    assert others == [unit.name for unit in branching.graph.units if unit.quantizable and unit.name != name]


def test_another_network_is_refused(tmp_path):
    content = tflite_models.branching().content()

    def renamed(model):
        twin = twin_models.onnx_twin(model)
        twin.graph.output[0].name = "other"
        for node in twin.graph.node:
            for names in (node.input, node.output):
                names[:] = ["other" if name == "logits" else name for name in names]
        return twin

    def changed(model):
        twin = twin_models.onnx_twin(model)
        for one in twin.graph.initializer:
            one.CopyFrom(numpy_helper.from_array(2 * numpy_helper.to_array(one), one.name))
        return twin

    with pytest.raises(ModelError, match=r"its outputs are logits, .* and other, .* for onnxruntime"):
        twin_models.joined(content, tmp_path, renamed)
    with pytest.raises(ModelError, match="give different values of"):
        twin_models.joined(content, tmp_path, changed)


def test_a_tensor_of_both_has_one_range(branching):
    parts = branching.graph.parts
    model = parts["litert"].graph.model
    litert = load_ranges(model, own_ranges(branching.ranges, "litert"))
    by_name = {model.names[tensor]: tuple(ends) for tensor, ends in litert.items()}
    onnx_runtime = read_ranges(own_ranges(branching.ranges, "onnxruntime"))
    shared = {name: own for name, own in parts["onnxruntime"].names.items() if name in by_name}
    assert shared
    for name, own in shared.items():
        assert tuple(map(float, onnx_runtime[own])) == pytest.approx(by_name[name])


@pytest.mark.parametrize("text", ["", "no JSON", "{}", '{"texts": {"litert": "{}"}}'])
def test_a_damaged_file_of_ranges_is_told_from_a_whole_one(branching, tmp_path, text):
    damaged = tmp_path / "ranges.json"
    damaged.write_text(text)
    assert branching.model.has_ranges(branching.ranges)
    assert not branching.model.has_ranges(damaged)
