"""Made-up inputs are such as a model runs on, and the Python that is written gives the same kind."""

import numpy as np
import onnx
import pytest
from text_models import make, weight

from planner.inputs.starter.starter_samples import made_up_inputs
from planner.inputs.starter.starter_scenario import starter_files

RUNNING = {
    "noise": "(float[1,4] x) => (float[1,4] y) { y = Relu (x) }",
    "indices": "(int64[1,3] x) => (float[1,3,4] y) { y = Gather (table, x) }",
    "one row to look up": "(int64[1,3] x) => (float[1,3,4] y) { y = Gather (row, x) }",
    "divisor": "(int32[1,4] a, int32[1,4] x) => (int32[1,4] y) { y = Div (a, x) }",
    "shape": "(float[2,8] a, int64[2] x) => (float[m,n] y) { y = Reshape (a, x) }",
    "count": "(float[1,4] a, int64[1] x) => (float[1,n] y, int64[1,n] z) { y, z = TopK (a, x) }",
    "factors": "(float[1,3,4,4] a, float[4] x) => (float[k,l,m,n] y) { y = Resize (a, , x) }",
    "root": "(float[1,4] x) => (float[1,4] y) { y = Sqrt (x) }",
    "truth": "(bool[1,4] x, float[1,4] a) => (float[1,4] y) { y = Where (x, a, a) }",
    "scalar": "(uint8 x, float[1,4] a) => (float[1,4] y) { f = Cast <to = 1> (x) y = Add (a, f) }",
    "half": "(float16[1,4] x) => (float16[1,4] y) { y = Log (x) }",
    "nothing": "(float[1,0] x) => (float[1,0] y) { y = Relu (x) }",
}


def saved(text: str, folder) -> str:
    weights = {"table": weight(5, 4), "row": weight(1, 4)}
    onnx.save(make(text, {k: v for k, v in weights.items() if k in text}), folder / "m.onnx")
    return str(folder / "m.onnx")


def samples_that_are_written(text: str, folder) -> list[dict[str, np.ndarray]]:
    files = starter_files(saved(text, folder), (), {}, folder / "s.yaml")
    written: dict = {}
    exec(files.samples_text, written)
    reader = written["Calibration"]()
    return list(iter(reader.get_next, None))


@pytest.mark.parametrize("text", RUNNING.values(), ids=RUNNING)
def test_a_model_runs_on_the_samples_that_are_written_and_answers_with_numbers(text, tmp_path):
    samples = samples_that_are_written(text, tmp_path)
    session = onnx.reference.ReferenceEvaluator(str(tmp_path / "m.onnx"))
    declared = {value.name for value in onnx.load(tmp_path / "m.onnx").graph.input}
    for feeds in samples:
        assert set(feeds) == declared
        assert all(np.isfinite(answer).all() for answer in session.run(None, feeds))


def test_noise_is_preferred_where_a_model_takes_it(tmp_path):
    samples = samples_that_are_written(RUNNING["noise"], tmp_path)
    assert min(feeds["x"].min() for feeds in samples) < 0
    assert not np.array_equal(samples[0]["x"], samples[1]["x"])


def test_a_model_that_runs_on_no_made_up_numbers_is_told(tmp_path):
    """It divides by how far its square is from itself."""
    text = "(int64[1] x) => (int64[1] y) { s = Mul (x, x) d = Sub (s, x) y = Div (x, d) }"
    file = saved(text, tmp_path)
    assert not made_up_inputs(tmp_path / "m.onnx", {}).runs
    assert not starter_files(file, (), {}, tmp_path / "s.yaml").runs
