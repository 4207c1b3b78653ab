"""Float units behind int8 ones stay in the blocked layout, and compute what they did."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from models import residual_blocks
from prepared_models import Prepared

from profiling.graph.blocked_layout import is_layout_pool, keep_blocked_layout
from profiling.latency.kernel_tags import tag_model
from profiling.latency.measure_latency import mixed_model
from profiling.on_device.create_session import Optimization
from profiling.onnx_io.load_model import load_model
from profiling.precision import Precision
from profiling.runtime.convolution_layout import has_blocked_layout
from profiling.runtime.open_session import Runtime, Trace, open_session, run_session

FULL = 16  # channels of a block
blocked_here = pytest.mark.skipif(
    not has_blocked_layout(Runtime()), reason="ONNX Runtime has no blocked layout on this processor"
)


def blocks(folder, channels: int = FULL) -> Prepared:
    return Prepared(residual_blocks(channels), folder, "blocks")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return blocks(tmp_path_factory.mktemp("blocks"))


def calibration_of(prepared, *, blocked: bool = True):
    scheme = replace(prepared.calibration.scheme, blocked_layout=blocked)
    return replace(prepared.calibration, scheme=scheme)


def mixed(prepared, *units: int, blocked: bool = True) -> onnx.ModelProto:
    """Return the model with some units in int8."""
    mix = dict.fromkeys(units, Precision.INT8)
    return mixed_model(prepared.graph, mix, calibration_of(prepared, blocked=blocked))


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
def test_additions_up_to_the_end_stay_in_the_layout(prepared, tmp_path):
    assert "Add" in optimized(mixed(prepared, 0, blocked=False), tmp_path)
    kept = optimized(mixed(prepared, 0), tmp_path)
    assert "Add" not in kept  # the convolutions add
    assert kept.count("Conv") == 3


@pytest.mark.parametrize("units", [(0,), (1,), (0, 2), (1, 2), (2,), (0, 1), (0, 1, 2)])
@pytest.mark.parametrize("channels", [FULL, 8])
def test_outputs_are_those_without_pools(units, channels, tmp_path):
    prepared = blocks(tmp_path, channels)
    plain, kept = mixed(prepared, *units, blocked=False), mixed(prepared, *units)
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


def test_a_tensor_that_one_of_its_units_does_not_want_in_the_layout_gets_no_pool(prepared):
    other = unit_with(prepared, "Conv", 2)
    plain = mixed(prepared, 0, other, blocked=False)
    wants, does_not = (calibration_of(prepared, blocked=side).scheme for side in (True, False))
    model = onnx.ModelProto()
    model.CopyFrom(plain)
    keep_blocked_layout(model, prepared.graph, {0: does_not, other: wants})
    assert not any(pool.input[0].startswith("r1_") for pool in pools_of(model))


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
