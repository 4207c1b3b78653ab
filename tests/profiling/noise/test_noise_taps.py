"""Where noise is summed."""

import models
import numpy as np
import pytest
from prepared_models import Prepared

from profiling.noise.measure_noise import measure_noise
from profiling.noise.noise_power import noise_power
from profiling.noise.noise_taps import Tap, taps_of
from profiling.onnx_io.extract import SubmodelExtractor
from profiling.runtime.open_session import Runtime, open_session, run_session

CLASSIFIER = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[1, 3, 4, 4] x) => (float[1, 8] p)
<float[8, 3, 3, 3] w, int64[2] s = {1, 8}>
{ c = Conv <kernel_shape = [3, 3]> (x, w)
  a = GlobalAveragePool (c)
  z = Reshape (a, s)
  p = Softmax (z) }
"""


@pytest.mark.parametrize(
    ("ending", "tap"),
    [
        ("p = Softmax (z)", "z"),
        ("q = Sigmoid (z) p = Reshape (q, s)", "z"),
        ("q = Softmax (z) p = Mul (q, q)", "p"),
        ("p = Mul (z, z)", "p"),
    ],
)
def test_noise_is_summed_before_the_last_function_that_squashes(tmp_path, ending, tap):
    prepared = Prepared(models.with_weights(CLASSIFIER.replace("p = Softmax (z)", ending)), tmp_path, "tap")
    assert [found.tensor for found in taps_of(prepared.graph)] == [tap]


def test_an_activation_inside_a_unit_is_no_end(tmp_path):
    text = CLASSIFIER.replace("c = Conv", "b = Conv").replace("a = GlobalAveragePool (c)", "c = Sigmoid (b)")
    text = text.replace("z = Reshape (a, s)\n  p = Softmax (z)", "").replace(
        "float[1, 8] p", "float[1, 8, 2, 2] c"
    )
    prepared = Prepared(models.with_weights(text), tmp_path, "inside")
    assert len(prepared.graph.units) == 1
    assert taps_of(prepared.graph) == (Tap("c"),)


def test_a_source_before_a_softmax_counts_at_its_input(tmp_path):
    prepared = Prepared(models.with_weights(CLASSIFIER), tmp_path, "softmax")
    powers = _powers(prepared)
    rounded, exact = (
        [{"z": one["z"] - one["z"].mean()} for one in rows] for rows in _rounded(_outputs(prepared, "z"))
    )
    assert powers["z"] == pytest.approx(noise_power(rounded, exact), rel=1e-3)


def test_a_source_behind_a_softmax_counts_as_much_as_one_before_it_with_the_same_effect(tmp_path):
    prepared = Prepared(models.with_weights(CLASSIFIER), tmp_path, "softmax")
    powers = _powers(prepared)
    logits, outputs = _outputs(prepared, "z"), _outputs(prepared, "p")
    extractor = SubmodelExtractor(prepared.graph.model)
    session = open_session(extractor.extract(["z"], ["p"]), Runtime())
    noisy = [run_session(session, feeds) for feeds in _rounded(logits)[0]]
    before_at_output = noise_power(noisy, outputs)
    behind = noise_power(*_rounded(outputs, high=1.0))  # the tool knows what a Softmax gives
    # All sources here lie so close to z that their effects at z and at p are in one proportion.
    assert powers["p"] / behind == pytest.approx(powers["z"] / before_at_output, rel=0.5)


def test_a_shift_of_all_logits_is_no_noise_before_a_softmax():
    values = np.array([[1.0, 2.0, 6.0]], np.float32)
    assert (Tap("z", -1).effective(values + 8) == Tap("z", -1).effective(values)).all()
    assert (Tap("z").effective(values) == values).all()


def _powers(prepared):
    profile = measure_noise(prepared.graph, prepared.calibration, prepared.samples)
    return {row.tensor: row.power for row in profile.tensors}


def _outputs(prepared, name):
    session = open_session(SubmodelExtractor(prepared.graph.model).extract(["x"], [name]), Runtime())
    return [run_session(session, feeds) for feeds in prepared.samples]


def _rounded(exact, high=None):
    """Return a tensor in 8 bits over its range on all samples, or up to a value, and as it was."""
    (name,) = exact[0]
    values = np.concatenate([one[name] for one in exact])
    low, high = min(values.min(), 0), high or max(values.max(), 0)
    scale = (high - low) / 255
    zero = np.rint(-low / scale)
    steps = [np.clip(np.rint(one[name] / scale) + zero, 0, 255) - zero for one in exact]
    return [{name: (step * scale).astype(np.float32)} for step in steps], exact
