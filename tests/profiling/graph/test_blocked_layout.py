"""Float units behind int8 ones stay in the blocked layout, and compute what they did."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from models import residual_blocks
from prepared_models import Prepared

from profiling.graph.blocked_layout import is_layout_pool, keep_blocked_layout
from profiling.graph.mixed_model import mixed_model
from profiling.latency.kernel_tags import tag_model
from profiling.on_device.create_session import Optimization
from profiling.onnx_io.load_model import load_model
from profiling.precision import Precision
from profiling.runtime.convolution_layout import has_blocked_layout
from profiling.runtime.open_session import Runtime, Trace, open_session, run_session

FULL = 16  # channels of a block
blocked_here = pytest.mark.skipif(
    not has_blocked_layout(Runtime()), reason="ONNX Runtime has no blocked layout on this processor"
)


def blocks(folder, channels: int = FULL, opset: int = 17) -> Prepared:
    model = residual_blocks(channels)
    model.opset_import[0].version = opset
    return Prepared(model, folder, "blocks")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return blocks(tmp_path_factory.mktemp("blocks"))


def calibration_of(prepared, *, blocked: bool = True):
    scheme = replace(prepared.calibration.scheme, blocked_layout=blocked)
    return replace(prepared.calibration, scheme=scheme)


def mixed(prepared, *units: int, blocked: bool = True) -> onnx.ModelProto:
    """Return the model with some units in int8."""
    schemes = calibration_of(prepared, blocked=blocked).at(dict.fromkeys(units, Precision.INT8))
    return mixed_model(prepared.graph, schemes, prepared.calibration.ranges)


def pools_of(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if is_layout_pool(node)]


def unit_with(prepared, op_type: str, place: int) -> int:
    names = [node.name for node in prepared.graph.model.graph.node if node.op_type == op_type]
    return next(unit.index for unit in prepared.graph.units if names[place] in unit.nodes)


def optimized(model: onnx.ModelProto, folder) -> list[str]:
    path = folder / "optimized.onnx"
    open_session(model, Runtime(), trace=Trace(optimized_model=path))
    return [node.op_type for node in onnx.load(path).graph.node]


def test_a_pool_stands_before_an_addition_and_the_convolution_that_reads_the_same(prepared):
    (pool,) = pools_of(mixed(prepared, 0))
    readers = [n.op_type for n in mixed(prepared, 0).graph.node if pool.output[0] in n.input]
    assert sorted(readers) == ["Add", "Conv"]
    dequantizers = [n for n in mixed(prepared, 0).graph.node if n.output[0] == pool.input[0]]
    assert [node.op_type for node in dequantizers] == ["DequantizeLinear"]


@blocked_here
@pytest.mark.parametrize("opset", [13, 17, 18, 19, 20, 21, 22])
def test_additions_up_to_the_end_stay_in_the_layout(opset, tmp_path):
    prepared = blocks(tmp_path, opset=opset)
    assert "Add" in optimized(mixed(prepared, 0, blocked=False), tmp_path)
    kept = optimized(mixed(prepared, 0), tmp_path)
    assert "Add" not in kept  # the convolutions add
    assert kept.count("Conv") == 3


@blocked_here
@pytest.mark.parametrize("activation", ["Relu", "Sigmoid", "Tanh", "HardSigmoid", "LeakyRelu", "Elu"])
@pytest.mark.parametrize("behind", ["convolution", "addition"])
def test_activations_keep_the_layout_as_the_runtime_lets_them(activation, behind, tmp_path):
    model = residual_blocks(FULL)
    reads, writes = {"convolution": ("c2", "s2"), "addition": ("s2", "c3")}[behind]
    (reader,) = [node for node in model.graph.node if node.output[0] == writes]
    (kept,) = [node for node in model.graph.node if node.output[0] == "r2"]
    if behind == "addition":  # the second addition is of that activation and of a dequantized tensor
        kept.op_type = activation
        (addition,) = [node for node in model.graph.node if node.output[0] == "s3"]
        addition.input[:] = ["r2", "r1"]
    else:
        reader.input[0] = "a2"
        node = onnx.helper.make_node(activation, [reads], ["a2"], "Activation")
        model.graph.node.insert(list(model.graph.node).index(reader), node)
    prepared = Prepared(model, tmp_path, "reach")
    found = mixed(prepared, 0)
    (pool,) = pools_of(found) or [onnx.NodeProto(output=["none"])]
    additions = [node for node in found.graph.node if node.op_type == "Add" and pool.output[0] in node.input]
    leaves = activation == "Elu" or (activation == "LeakyRelu" and behind == "addition")
    assert len(additions) == (2 if behind == "addition" else 1) - leaves
    # Only the model's output leaves the layout, unless an activation does.
    assert (optimized(found, tmp_path).count("ReorderOutput") == 1) == (not leaves)


@blocked_here
@pytest.mark.parametrize("groups", [1, 2, 4, 32])
def test_convolutions_whose_groups_fill_no_blocks_get_no_pool(groups, tmp_path):
    model = residual_blocks(32)
    (node,) = [node for node in model.graph.node if node.output[0] == "c2"]
    node.attribute.append(onnx.helper.make_attribute("group", groups))
    resized(model, "w2", (32, 32 // groups, 3, 3))
    prepared = Prepared(model, tmp_path, "groups")
    found, plain = mixed(prepared, 0), mixed(prepared, 0, blocked=False)
    reaches = groups != 4  # of 8 channels each
    assert len(pools_of(found)) == reaches
    assert optimized(found, tmp_path).count("Add") == (
        0 if reaches else optimized(plain, tmp_path).count("Add")
    )


def resized(model: onnx.ModelProto, name: str, shape: tuple[int, ...]) -> None:
    """Give a weight another shape."""
    (tensor,) = [tensor for tensor in model.graph.initializer if tensor.name == name]
    values = np.random.default_rng(0).normal(size=shape, scale=0.1).astype(np.float32)
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, name))


@pytest.mark.parametrize(
    ("units", "channels", "pools"),
    [((0,), FULL, 1), ((1,), FULL, 1), ((0, 2), FULL, 1), ((0, 1), FULL, 1), ((2,), FULL, 0), ((0,), 8, 0)],
)
def test_outputs_are_those_without_pools(units, channels, pools, tmp_path):
    prepared = blocks(tmp_path, channels)
    plain, kept = mixed(prepared, *units, blocked=False), mixed(prepared, *units)
    assert len(pools_of(kept)) == pools
    onnx.checker.check_model(kept, full_check=True)
    for feeds in prepared.samples[:3]:
        want, found = (
            run_session(open_session(model, Runtime(), Optimization.BASIC), feeds) for model in (plain, kept)
        )
        assert all((want[name] == found[name]).all() for name in want)
        quick = run_session(open_session(kept, Runtime()), feeds)
        # A sum that rounds otherwise may fall on the other side of a step of 8 bits.
        assert all(np.abs(quick[n] - want[n]).max() <= 0.05 * np.abs(want[n]).max() for n in want)


@pytest.mark.parametrize(
    ("units", "pools"), [((), 0), ((0,), 1), ((1,), 1), ((2,), 0), ((0, 1), 1), ((0, 2), 1), ((0, 1, 2), 0)]
)
def test_only_float_additions_of_a_convolution_and_a_dequantized_tensor_ask_for_pools(units, pools, prepared):
    assert len(pools_of(mixed(prepared, *units))) == pools


def test_blocks_that_are_not_full_get_no_pool(tmp_path):
    assert not pools_of(mixed(blocks(tmp_path, 24), 0))


def test_who_does_not_ask_for_the_layout_gets_no_pool(prepared):
    assert not pools_of(mixed(prepared, 0, blocked=False))


@pytest.mark.parametrize(("wishes", "pools"), [((True, True), 1), ((True, False), 0), ((False, True), 0)])
def test_all_units_that_quantize_a_tensor_have_to_want_it_in_the_layout(wishes, pools, tmp_path):
    model = residual_blocks(FULL)
    (last,) = [node for node in model.graph.node if node.output[0] == "y"]
    last.input[0] = "r1"  # in int8 beside the addition in float
    model.graph.output.add().CopyFrom(onnx.helper.make_tensor_value_info("r3", 1, [1, FULL, 8, 8]))
    prepared = Prepared(model, tmp_path, "two")
    units = (0, unit_with(prepared, "Conv", 3))
    found = mixed(prepared, *units, blocked=False)
    schemes = (calibration_of(prepared, blocked=wish).scheme for wish in wishes)
    keep_blocked_layout(found, prepared.graph, dict(zip(units, schemes, strict=True)))
    assert len(pools_of(found)) == pools


def test_a_tensor_of_16_bits_is_brought_into_the_layout(prepared):
    mix = {0: Precision.INT16}
    plain, kept = (
        mixed_model(
            prepared.graph, calibration_of(prepared, blocked=side).at(mix), prepared.calibration.ranges
        )
        for side in (False, True)
    )
    assert len(pools_of(kept)) == 1
    for feeds in prepared.samples[:2]:
        want, found = (
            run_session(open_session(model, Runtime(), Optimization.BASIC), feeds) for model in (plain, kept)
        )
        assert all((want[name] == found[name]).all() for name in want)


def test_a_dequantized_tensor_that_is_an_output_stays_one(tmp_path):
    model = residual_blocks(FULL)
    model.graph.output.add().CopyFrom(onnx.helper.make_tensor_value_info("r1", 1, [1, FULL, 8, 8]))
    prepared = Prepared(model, tmp_path, "outputs")
    plain, kept = mixed(prepared, 0, blocked=False), mixed(prepared, 0)
    onnx.checker.check_model(kept, full_check=True)
    for feeds in prepared.samples[:2]:
        want, found = (
            run_session(open_session(model, Runtime(), Optimization.BASIC), feeds) for model in (plain, kept)
        )
        assert want.keys() == found.keys() == {"y", "r1"}
        assert all((want[name] == found[name]).all() for name in want)


def test_a_pool_of_the_model_that_is_called_the_same_is_none_of_ours(tmp_path):
    model = residual_blocks(FULL)
    (relu,) = [node for node in model.graph.node if node.output[0] == "r3"]
    relu.op_type, relu.name = "AveragePool", "r3_Blocked"
    relu.attribute.append(onnx.helper.make_attribute("kernel_shape", [1, 1]))
    prepared = Prepared(model, tmp_path, "named")
    tagged = tag_model(prepared.graph.model, prepared.graph)
    assert len(tagged.graph.node) == len(prepared.graph.model.graph.node)
    assert len(pools_of(mixed(prepared, 0))) >= 1


def test_the_time_of_a_pool_is_that_of_the_switch(prepared):
    model = mixed(prepared, 0)
    (position,) = [n for n, node in enumerate(model.graph.node) if is_layout_pool(node)]
    tagged = tag_model(model, prepared.graph, {0: Precision.INT8})
    pool = tagged.graph.node[position]
    (before,) = [node for node in tagged.graph.node if pool.input[0] in node.output]
    assert before.op_type == "DequantizeLinear"
    assert pool.name.rpartition("@")[0] == before.name.rpartition("@")[0]  # behind that comes its number


def test_a_saved_model_keeps_its_pools(prepared, tmp_path):
    model = mixed(prepared, 0)
    onnx.save(model, tmp_path / "kept.onnx")
    assert len(pools_of(load_model(tmp_path / "kept.onnx", {}))) == 1
