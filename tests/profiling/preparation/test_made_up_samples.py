"""Made-up samples fit the inputs, are always the same, and the model runs on them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from text_models import make

from profiling.errors import ModelError
from profiling.preparation.made_up_samples import candidate_samples, made_up_samples
from profiling.runtime.open_session import Runtime, open_session, run_session

_TYPES = [TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.INT64, TensorProto.BOOL]


@given(st.lists(st.tuples(st.sampled_from(_TYPES), st.lists(st.integers(0, 4), max_size=3)), max_size=4))
def test_candidates_fit_the_inputs(ends):
    inputs = [helper.make_tensor_value_info(f"x{i}", *end) for i, end in enumerate(ends)]
    candidates = candidate_samples(inputs)
    for samples in candidates:
        for i, (elem_type, shape) in enumerate(ends):
            arrays = [feeds[f"x{i}"] for feeds in samples]
            assert {array.shape for array in arrays} == {tuple(shape)}
            assert {array.dtype for array in arrays} == {helper.tensor_dtype_to_np_dtype(elem_type)}
            if elem_type in (TensorProto.INT64, TensorProto.BOOL):  # sizes and axes
                assert all((array == arrays[0]).all() for array in arrays)
            elif arrays[0].size:
                assert len({array.tobytes() for array in arrays}) == 3
    assert repr(candidates) == repr(candidate_samples(inputs))


def test_only_samples_on_which_the_model_runs_are_returned():
    model = make("(float[5, 2] x, int64[1] s) => (float[a] y) { y = Reshape (x, s) }", {})
    assert made_up_samples(model) == []  # it takes ten, or two sizes
    model = make(
        "(float[1, 1] x, int64[2] s) => (float[1, 1] y) { r = Reshape (x, s) y = MatMul (r, x) }", {}
    )
    samples = made_up_samples(model)
    session = open_session(model, Runtime())
    assert len(samples) == 3
    for feeds in samples:
        run_session(session, feeds)
        assert (feeds["s"] == samples[0]["s"]).all()


def test_an_operator_that_the_runtime_lacks_is_named():
    model = make("(float[2] x) => (float[2] y) { y = Relu (x) }", {})
    model.graph.node[0].op_type = "Enlarge"
    model.graph.node[0].domain = "acme"
    model.opset_import.append(helper.make_opsetid("acme", 1))
    with pytest.raises(ModelError, match="operator acme:Enlarge is not supported"):
        made_up_samples(model)


def test_any_other_refusal_is_the_runtime_s_own():
    model = make("(float[2] x) => (float[2] y) { y = Relu (x) }", {})
    model.graph.node[0].input[0] = "nothing"
    with pytest.raises(ModelError, match="cannot load the model: .*nothing"):
        made_up_samples(model)


def test_floats_are_noise_zeros_and_ones():
    (first, *_) = candidate_samples([helper.make_tensor_value_info("x", TensorProto.FLOAT, [200])])
    noise, zeros, ones = (feeds["x"] for feeds in first)
    assert abs(noise.mean()) < 0.3
    assert 0.8 < noise.std() < 1.2
    assert not zeros.any()
    assert (np.ones(200) == ones).all()
