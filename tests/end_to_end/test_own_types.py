"""Tensors that a model computes in other types than float32 cross links under their own names."""

import numpy as np
import onnx
import pytest
from planned_models import plan_model

TWO = {
    "devices": [{"name": "a"}, {"name": "b", "scaled_from": "a", "speedup": 2.0}],
    "links": [{"from": "a", "to": "b", "bandwidth_mbit_per_s": 1000}],
    "source": "a",
    "sink": "b",
    "placement": {"pin": {"first": "a", "last": "b"}},
}


@pytest.mark.parametrize(("code", "name"), [(7, "int64"), (6, "int32"), (9, "bool")])
def test_a_cut_is_called_by_the_type_that_crosses(tmp_path, code, name):
    text = f"""<ir_version: 8, opset_import: ["" : 17]>
    g (float[1,8] x) => (float[1,8] y) {{
        a = Relu (x)
        t = Cast <to = {code}> (a)
        y = Cast <to = 1> (t)
    }}"""
    model = onnx.parser.parse_model(text)
    for node, own in zip(model.graph.node, ("first", "middle", "last"), strict=True):
        node.name = own
    x = np.random.default_rng(0).normal(size=(12, 8)).astype(np.float32)
    pins = TWO | {"placement": {"pin": {"first": "a", "middle": "a", "last": "b"}}}
    plan = plan_model(tmp_path, model, {"x": x}, precisions=["fp32"], **pins).plan
    assert [cut.wire for cut in plan.cuts] == [name]
