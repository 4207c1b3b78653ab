"""A branch for another rank than the one that comes must not keep a model from loading."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser, shape_inference

from profiling.errors import ModelError
from profiling.onnx_io.branch_shapes import has_branches, hide_branch_shapes
from profiling.runtime.open_session import Runtime, open_session, run_session

HEAD = '<ir_version: 8, opset_import: ["" : 17]>'
RANKS = f"""{HEAD} g (TYPE[1, 5, 3] x, bool c) => (TYPE[k, 3] y)
<int64[1] first = {{0}}, int64[1] second = {{1}}> {{
  u = Identity (x)
  y = If (c) <
    then_branch = flat () => (TYPE[k, 3] a) {{ a = Squeeze (u, first) }},
    else_branch = deep () => (TYPE[k, 3] b) {{ b = Squeeze (u, second) }}
  >
}}"""
SEQUENCE = f"""{HEAD} g (float[1, 5, 3] x, bool c) => (float[k, 3] y)
<int64[1] first = {{0}}, int64[1] second = {{1}}, int64 index = {{0}}> {{
  s = SequenceConstruct (x)
  y = If (c) <
    then_branch = flat () => (float[k, 3] a) {{ e = SequenceAt (s, index) a = Squeeze (e, first) }},
    else_branch = deep () => (float[k, 3] b) {{ b = Squeeze (x, second) }}
  >
}}"""


def with_types(text: str) -> onnx.ModelProto:
    model = parser.parse_model(text)
    model.graph.value_info.extend(shape_inference.infer_shapes(model).graph.value_info)
    return model


def hidden(model: onnx.ModelProto) -> tuple[str, ...]:
    names = hide_branch_shapes(model.graph)
    del model.graph.value_info[:]  # as `load_model` does: what is known there is what must be hidden
    return names


@pytest.mark.parametrize("element_type", ["float", "float16", "double", "int64", "string", "bool"])
def test_a_model_loads_whose_other_branch_is_for_another_rank(element_type):
    model = with_types(RANKS.replace("TYPE", element_type))
    with pytest.raises(ModelError):
        open_session(model, Runtime())
    assert hidden(model) == ("u/hidden",)
    onnx.checker.check_model(model)
    numbers = np.arange(15).reshape(1, 5, 3)
    dtype = {"float": np.float32, "string": np.str_}.get(element_type, element_type)
    values = numbers.astype(dtype).astype(object) if element_type == "string" else numbers.astype(dtype)
    answer = run_session(open_session(model, Runtime()), {"x": values, "c": np.array(True)})["y"]
    np.testing.assert_array_equal(answer, values[0])


def test_a_captured_sequence_stays_as_it_is():
    model = with_types(SEQUENCE)
    assert hidden(model) == ("x/hidden",)
    onnx.checker.check_model(model)
    values = np.arange(15, dtype=np.float32).reshape(1, 5, 3)
    answer = run_session(open_session(model, Runtime()), {"x": values, "c": np.array(True)})["y"]
    np.testing.assert_array_equal(answer, values[0])


def test_new_names_meet_no_others():
    text = RANKS.replace("TYPE", "float").replace("u = Identity (x)", "t = Neg (x) u = Neg (t)")
    model = with_types(text.replace(" t ", " hidden_first ").replace("(t)", "(hidden_first)"))
    model.graph.initializer.append(numpy_helper.from_array(np.float32(7), "hidden/first"))
    model.graph.initializer.append(numpy_helper.from_array(np.float32(7), "u/hidden"))
    hidden(model)
    onnx.checker.check_model(model)
    names = [init.name for init in model.graph.initializer]
    names += [name for node in model.graph.node for name in node.output]
    assert len(set(names)) == len(names)


def test_branches_that_read_constants_only_stay_as_they_are():
    text = f"""{HEAD} g (bool c) => (float[1] y) <float[1] w = {{1}}> {{
      y = If (c) <
        then_branch = t () => (float[1] a) {{ a = Neg (w) }},
        else_branch = e () => (float[1] b) {{ b = Abs (w) }}
      >
    }}"""
    model = with_types(text)
    before = model.SerializeToString(deterministic=True)
    assert hide_branch_shapes(model.graph) == ()
    assert model.SerializeToString(deterministic=True) == before


def test_only_if_is_a_branch():
    assert has_branches(parser.parse_model(RANKS.replace("TYPE", "float")).graph)
    assert not has_branches(
        parser.parse_model(f"{HEAD} g (float[1] x) => (float[1] y) {{ y = Neg (x) }}").graph
    )
