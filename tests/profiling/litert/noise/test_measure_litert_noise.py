import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
pytest.importorskip("litert_quantizer", reason="the extra litert is not installed")
import tflite_models
from ai_edge_litert import schema_py_generated as schema
from tflite_models import OPS, Model, feeds
from tflite_noise import NoiseCase, shares_that_are_close

from profiling.litert.load import parse_litert
from profiling.litert.modes import DYNAMIC_INT8, FLOAT16, FP32, INT8, INT16, MODES, WEIGHT_INT8
from profiling.litert.noise.measure_litert_noise import measure_litert_noise
from profiling.litert.noise.summed_noise import summed_noise
from profiling.litert.unit_graph import build_litert_graph

SAMPLES, RECIPES = 8, 16


def case(model, modes, samples=SAMPLES):
    graph = build_litert_graph(parse_litert(model.content(), "m"))
    return NoiseCase(graph, [feeds(graph.model, seed) for seed in range(samples)], modes)


def residual(seed=0):
    """Return a network of residual blocks that classifies each place of an image."""
    model = Model(seed)
    flow = model.conv(model.input("image", (1, 8, 8, 3)), "stem", 8, 3)
    for block in range(3):
        inner = model.conv(flow, f"expand{block}", 16)
        inner = model.conv(model.depthwise(inner, f"depthwise{block}"), f"project{block}", 8, relu=False)
        flow = model.add(flow, inner, f"joined{block}")
    return model.give(model.softmax(model.conv(flow, "logits", 10, relu=False), "chances"))


def powers(rows, field):
    return {getattr(row, field): row.power for row in rows}


@pytest.fixture(scope="module")
def branching():
    return case(tflite_models.branching(), MODES)


NETWORKS = {
    "branching": (tflite_models.branching, {}),
    "residual": (residual, {}),
    # Not those that compute the same twice, of which the second time rounds nothing.
    **{f"random {seed}": (tflite_models.random_graph, {"seed": seed}) for seed in (2, 5, 9, 11)},
}
MIXES = {
    "int8": (INT8,),
    "int8 and int16": (INT8, INT16),
    "all modes": tuple(mode for mode in MODES if mode is not FP32),
}


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("network", NETWORKS)
def test_noise_of_tensors_and_units_sums_to_that_of_mixed_models(network, mix, record_property):
    build, settings = NETWORKS[network]
    measured = case(build(**settings), MIXES[mix])
    ratios = [measured.summed_over_measured(seed) for seed in range(RECIPES)]
    raw, gained = shares_that_are_close(ratios)
    record_property(
        "sum over truth", f"{raw:.2f} and {gained:.2f} close; {min(ratios):.2f} to {max(ratios):.2f}"
    )
    assert raw >= 0.9
    assert gained >= 0.9


@pytest.mark.parametrize("mode", [DYNAMIC_INT8, WEIGHT_INT8, FLOAT16])
def test_a_unit_alone_in_a_float_mode_makes_the_noise_of_its_row(branching, mode):
    """Exactly: its activations stay float, so nothing else is changed."""
    rows = powers(branching.profiles[mode].units, "unit")
    depthwise = {"left"} if mode is not DYNAMIC_INT8 else set()  # XNNPACK has no such kernel
    assert set(rows) == {"stem", "right", "logits"} | depthwise
    for unit in branching.graph.units:
        if unit.name in rows:
            measured, _ = branching.measured({unit.index: mode})
            assert rows[unit.name] == pytest.approx(measured, rel=1e-3)


def test_float_in_float_is_no_noise(branching):
    profile = branching.profiles[FP32]
    assert profile.tensors == ()
    assert powers(profile.units, "unit") == dict.fromkeys((u.name for u in branching.graph.units), 0.0)


def on_steps():
    """Return a network whose weights and samples int8 holds exactly."""
    model = Model()
    weights = model.rng.integers(-127, 128, (4, 6))
    weights[:, 0] = 127
    flow = model.dense(model.input("x", (1, 6)), "y", 4, bias=False)
    model.graph.tensors[model.graph.operators[-1].inputs[1]].buffer = model.buffer(
        (weights / 128).astype(np.float32)
    )
    return model.give(flow)


def test_a_mode_that_changes_nothing_makes_no_noise():
    measured = case(on_steps(), (WEIGHT_INT8, FLOAT16))
    for mode in (WEIGHT_INT8, FLOAT16):
        assert powers(measured.profiles[mode].units, "unit") == {"y": 0.0}
    assert measured.measured({0: WEIGHT_INT8})[0] == 0


def test_a_layer_has_the_noise_that_numpy_computes():
    model = Model(3)
    model.give(model.dense(model.input("x", (1, 64)), "y", 32))
    measured = case(model, (INT8, INT16, WEIGHT_INT8))
    source = measured.graph.model
    weight, bias = (source.constant(t).astype(np.float64) for t in source.operators[0].inputs[1:])
    x = np.concatenate([sample["x"] for sample in measured.samples]).astype(np.float64)
    y = x @ weight.T + bias
    scales = np.abs(weight).max(axis=1, keepdims=True) / 127
    rounded = np.rint(weight / scales) * scales

    def power(changed):
        return np.square(changed - y).sum() / np.square(y).sum()

    def affine(values):
        low, high = min(values.min(), 0), max(values.max(), 0)
        scale = (high - low) / 255
        zero = np.rint(-128 - low / scale)
        return (np.clip(np.rint(values / scale) + zero, -128, 127) - zero) * scale

    def symmetric(values):
        scale = np.abs(values).max() / 32767
        return np.clip(np.rint(values / scale), -32768, 32767) * scale

    for mode, on_grid in ((INT8, affine), (INT16, symmetric)):
        tensors = powers(measured.profiles[mode].tensors, "tensor")
        assert tensors["x"] == pytest.approx(power(on_grid(x) @ weight.T + bias), rel=2e-2)
        assert tensors["y"] == pytest.approx(power(on_grid(y)), rel=2e-2)
        assert powers(measured.profiles[mode].units, "unit")["y"] == pytest.approx(
            power(x @ rounded.T + bias), rel=2e-2
        )
    assert measured.profiles[WEIGHT_INT8].tensors == ()
    assert powers(measured.profiles[WEIGHT_INT8].units, "unit")["y"] == pytest.approx(
        power(x @ rounded.T + bias), rel=1e-3
    )


def test_what_cannot_be_in_a_mode_has_no_row(branching):
    for mode in MODES:
        names = {u.name for u in branching.graph.units if mode in branching.possible[u.index].possible}
        assert set(powers(branching.profiles[mode].units, "unit")) == names
        assert branching.profiles[mode].scheme == mode.name
        assert bool(branching.profiles[mode].tensors) == mode.is_static
    only_stem = branching.graph.units[0].outputs
    able = {INT8: [unit for unit in branching.able[INT8] if branching.graph.units[unit].name in only_stem]}
    noise = measure_litert_noise(branching.graph, branching.ranges, branching.samples, able)
    profile = noise[INT8]
    assert set(powers(profile.tensors, "tensor")) == {"image", "stem"}
    assert set(powers(profile.units, "unit")) == {"stem"}


def test_readers_have_rows_where_there_are_several(branching):
    rows = {(row.tensor, row.unit): row.power for row in branching.profiles[INT8].reads}
    assert {unit for tensor, unit in rows if tensor == "stem"} == {"left", "right", "wide"}
    assert ("joined", "one") in rows  # the caller reads it as well
    assert ("pooled", "both") in rows  # which reads it on a grid of its own
    assert ("right", "joined") not in rows
    for unit in branching.graph.units:
        if ("stem", unit.name) in rows and unit.name != "wide":
            expected, _ = branching.measured({unit.index: INT8})
            tensors = powers(branching.profiles[INT8].tensors, "tensor")
            own = powers(branching.profiles[INT8].units, "unit")
            summed = rows["stem", unit.name] + tensors[unit.name] + own[unit.name]
            assert summed == pytest.approx(expected, rel=0.1)


def test_float16_is_told_beside_each_tensor(branching):
    for row in branching.profiles[INT8].tensors:
        assert 0 < row.float16 < row.power / 100
    finer = powers(branching.profiles[INT16].tensors, "tensor")
    coarser = powers(branching.profiles[INT8].tensors, "tensor")
    assert finer.keys() == coarser.keys()
    assert all(finer[name] < coarser[name] / 1000 for name in finer)


def repeating():
    """Return a network in which integers lie on the steps of what they are computed to."""
    model = Model(4)
    flow = model.conv(model.input("image", (1, 6, 6, 4)), "stem", 8)
    flow = model.add(flow, flow, "twice")
    flow = model.unary(OPS.RELU, flow, "positive")
    return model.give(model.conv(flow, "scores", 4, relu=False))


def test_integers_that_are_passed_on_or_scaled_are_not_rounded_again():
    measured = case(repeating(), (INT8,))
    rows = {row.tensor: row for row in measured.profiles[INT8].tensors}
    for name in ("twice", "positive"):
        assert rows[name].written < rows[name].power / 1e6
    for name in ("stem", "scores"):
        assert rows[name].written == pytest.approx(rows[name].power, rel=0.2)
    assert rows["image"].written is None
    power, modes = measured.measured(dict.fromkeys(range(4), INT8))
    assert summed_noise(measured.graph, modes, measured.profiles) == pytest.approx(power, rel=0.1)


def test_integers_that_come_in_are_never_rounded():
    model = Model(3)
    steps = schema.QuantizationParametersT(scale=[0.1], zeroPoint=[0])
    image = model.input("image", (1, 6, 6, 4), "int8", quantization=steps)
    exact = model.op(OPS.DEQUANTIZE, [image], [model.tensor("exact", (1, 6, 6, 4))])
    measured = case(model.give(model.conv(exact, "scores", 4, relu=False)), (INT8,))
    assert {row.tensor for row in measured.profiles[INT8].tensors} == {"exact", "scores"}


def joining():
    """Return a network that joins a narrow tensor with one of a far wider range."""
    model = Model(6)
    image = model.input("image", (1, 6, 6, 4))
    narrow = model.conv(image, "narrow", 4, weights=model.weight("small", (4, 1, 1, 4), 0.02), relu=False)
    joined = model.concat([narrow, model.conv(image, "wide", 4, relu=False)], "joined")
    return model.give(model.conv(joined, "scores", 4, relu=False))


@pytest.mark.parametrize("quantized", [("narrow",), ("joined",), ("narrow", "joined"), ("joined", "scores")])
def test_a_tensor_is_on_its_own_grid_until_a_reader_wants_another(quantized):
    measured = case(joining(), (INT8,))
    units = [unit.index for unit in measured.graph.units if unit.name in quantized]
    power, modes = measured.measured(dict.fromkeys(units, INT8))
    assert summed_noise(measured.graph, modes, measured.profiles) == pytest.approx(power, rel=0.25)


def test_progress_ends_with_all(branching):
    told = []
    able = {mode: branching.able[mode] for mode in (INT8, WEIGHT_INT8)}
    found = measure_litert_noise(
        branching.graph,
        branching.ranges,
        branching.samples[:1],
        able,
        progress=lambda *step: told.append(step),
    )
    assert found.keys() == able.keys()
    assert told[-1][1] == told[-1][2] > 0
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


def test_integers_of_the_model_itself_are_not_rounded_again():
    measured = case(tflite_models.partly_quantized(), (INT8,))
    assert set(powers(measured.profiles[INT8].tensors, "tensor")) == {"floats", "conv"}
