import models
import numpy as np
import onnxruntime as ort
import pytest
import text_models
from prepared_models import Prepared

from profiling.noise.measure_noise import LARGEST, follow_sources, measure_noise
from profiling.noise.noise_blocks import RunBudget
from profiling.noise.noise_power import noise_power
from profiling.noise.noise_sources import NoiseSources
from profiling.noise.rounded_sources import RoundedSources
from profiling.quantization.qdq_model import quantize
from profiling.runtime.open_session import Runtime, open_session, run_session


def test_single_tensor_noise_adds_up_to_that_of_a_mixed_model(digits):
    """On integer-exact kernels: the runtime runs QDQ in float when nothing is optimized."""
    profile = measure_noise(digits.graph, digits.calibration, digits.samples)
    chosen = {u.index for u in digits.graph.units if u.index % 3}
    nodes = tuple(n for i in sorted(chosen) for n in digits.graph.units[i].nodes)
    mixed = quantize(digits.graph.model, digits.calibration.of(nodes), digits.calibration.ranges)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(mixed.SerializeToString(), options)
    exact = open_session(digits.graph.model, Runtime())
    measured = noise_power(
        [run_session(session, s) for s in digits.samples],
        [run_session(exact, s) for s in digits.samples],
    )
    tensors = {t for i in chosen for t in digits.graph.tensors_quantized_with(i)}
    predicted = sum(row.power for row in profile.tensors if row.tensor in tensors)
    predicted += sum(
        row.power for row in profile.units if row.unit in {digits.graph.units[i].name for i in chosen}
    )
    assert 0.5 < predicted / measured < 2.0


def test_a_shared_tensor_is_measured_once(branches):
    profile = measure_noise(branches.graph, branches.calibration, branches.samples)
    names = [row.tensor for row in profile.tensors]
    assert len(names) == len(set(names))
    assert set(names) == set(branches.graph.boundary_tensors())
    assert {row.unit for row in profile.units} == {u.name for u in branches.graph.units if u.quantizable}


def test_a_unit_without_weights_adds_no_noise_of_its_own(branches):
    profile = measure_noise(branches.graph, branches.calibration, branches.samples)
    pool = next(u for u in branches.graph.units if u.op_types == ("MaxPool",))
    assert next(row.power for row in profile.units if row.unit == pool.name) == 0


def test_a_scalar_constant_is_rounded_like_any_weight(tmp_path):
    text = """
    <ir_version: 8, opset_import: ["" : 17]>
    g (float[1, 3, 4, 4] x) => (float[1, 3, 4, 4] y)
    <float[3, 3, 1, 1] w, float s = {0.3}>
    { c = Conv <kernel_shape = [1, 1]> (x, w)
      r = Sigmoid (c)
      y = Mul (r, s) }
    """
    prepared = Prepared(models.with_weights(text), tmp_path, "scalar")
    unit = next(u for u in prepared.graph.units if "Mul" in u.op_types)
    assert unit.quantizable
    profile = measure_noise(prepared.graph, prepared.calibration, prepared.samples)
    powers = {row.unit: row.power for row in profile.units}
    assert 0 <= powers[unit.name] < 1e-4


BLOCKS = RunBudget(runs=1.0, multiplications=0.0)  # too little for anything else
WHOLE = RunBudget(runs=1e9, multiplications=0.0)


def followed(prepared, budget, only=None) -> dict[str, float]:
    found = follow_sources(
        RoundedSources.of(prepared.graph, prepared.calibration, only), prepared.samples, budget
    )
    return {name: noise.tap for name, noise in (found.tensors | found.units).items()}


def blockwise(prepared) -> tuple[dict[str, float], dict[str, float]]:
    """Return noise followed to the ends of blocks, and to the outputs."""
    return followed(prepared, BLOCKS), followed(prepared, WHOLE)


def chain(folder, matrices) -> Prepared:
    """Return a model that multiplies by one matrix after another."""
    weights = {f"w{i}": matrix.astype(np.float32) for i, matrix in enumerate(matrices)}
    names = ["x", *(f"x{i}" for i in range(len(matrices) - 1)), "y"]
    steps = "".join(f"{names[i + 1]} = MatMul ({names[i]}, w{i}) " for i in range(len(matrices)))
    model = text_models.make("(float[4, 24] x) => (float[4, 24] y) { " + steps + "}", weights)
    return Prepared(model, folder, "chain")


def rotation(rng):
    return np.linalg.qr(rng.normal(size=(24, 24)))[0]


def test_blocks_show_the_same_noise_where_units_keep_lengths(tmp_path):
    """Rotations keep the size of an error, so that its place does not matter."""
    rng = np.random.default_rng(0)
    found, exact = blockwise(chain(tmp_path, [rotation(rng) for _ in range(16)]))
    assert found != exact
    for name, power in exact.items():
        assert power > 0
        assert found[name] == pytest.approx(power, rel=0.05)


def test_the_largest_sources_are_followed_to_the_outputs(tmp_path):
    """Behind uneven matrices errors of one size make different noise, which a common gain does not tell."""
    rng = np.random.default_rng(0)
    uneven = np.diag(np.geomspace(0.3, 3, 24))
    found, exact = blockwise(chain(tmp_path, [rotation(rng) @ uneven for _ in range(16)]))
    same = {name for name, power in found.items() if power == pytest.approx(exact[name], rel=1e-6)}
    assert LARGEST <= len(same) < len(exact)
    assert max(exact, key=exact.get) in same
    assert sum(found.values()) == pytest.approx(sum(exact.values()), rel=0.25)


@pytest.mark.parametrize("name", ["residual", "branches", "digits"])
def test_blocks_add_up_to_the_noise_that_is_followed_to_the_outputs(name, request):
    found, exact = blockwise(request.getfixturevalue(name))
    assert found.keys() == exact.keys()
    assert sum(found.values()) == pytest.approx(sum(exact.values()), rel=0.25)
    assert {name for name, power in found.items() if power} == {
        name for name, power in exact.items() if power
    }


def test_some_sources_alone_may_be_few_enough_to_be_followed_to_the_outputs(residual):
    exact = followed(residual, WHOLE)
    unit = next(unit.name for unit in residual.graph.units if exact.get(unit.name))
    some = followed(residual, BLOCKS, NoiseSources(frozenset(), frozenset({unit})))
    assert some == {unit: pytest.approx(exact[unit], rel=1e-6)}


def test_progress_counts_runs_of_the_model_up_to_the_budget(digits):
    told: list[tuple[str, int, int]] = []
    measure_noise(digits.graph, digits.calibration, digits.samples, progress=lambda *row: told.append(row))
    done = [row[1] for row in told]
    assert done == sorted(done)
    assert {row[2] for row in told} == {done[-1]}
