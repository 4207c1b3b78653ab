"""Preparing keeps every number, whatever a file is written like; what is prepared can be quantized."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, parser
from text_models import assert_same, loaded, make, samples_of, weight

from profiling.errors import ModelError
from profiling.graph.unit_graph import build_graph
from profiling.onnx_io.load_model import load_model
from profiling.onnx_io.unique_names import names_of
from profiling.preparation.rewrite_steps import prepare_model
from profiling.quantization.calibration import Calibration, calibrate
from profiling.quantization.qdq_model import INT8_REDUCED, quantize
from profiling.runtime.open_session import Runtime, open_session, run_session


def assert_quantizes(prepared: onnx.ModelProto, samples, folder: Path, most: float = 0.05) -> None:
    """All-int8 is near the source: not in the eighth bit, but far from another computation."""
    graph = build_graph(prepared)
    nodes = graph.quantizable_nodes
    calibration = Calibration(INT8_REDUCED, folder / "ranges.json")
    calibrate(graph.model, nodes, samples, calibration.ranges)
    mixed = quantize(graph.model, calibration.of(nodes), calibration.ranges)
    exact, got = (open_session(model, Runtime()) for model in (graph.model, mixed))
    errors: dict[str, list] = {}
    sizes: dict[str, list] = {}
    for feeds in samples:
        want, have = run_session(exact, feeds), run_session(got, feeds)
        for name in want:
            errors.setdefault(name, []).append(have[name] - want[name])
            sizes.setdefault(name, []).append(want[name])
    for name in sizes:  # of all samples: one whose answer is next to zero says nothing
        assert np.linalg.norm(errors[name]) <= most * np.linalg.norm(sizes[name])


LINEAR = "(float[1, 16] x) => (float[1, 16] y) "
FOLDED = {
    "Constant node": ("{ y = MatMul (x, c) }", lambda w: {"c": w}),
    "Transpose": ("{ t = Transpose <perm = [1, 0]> (c) y = MatMul (x, t) }", lambda w: {"c": w.T}),
    "Cast": ("{ t = Cast <to = 1> (c) y = MatMul (x, t) }", lambda w: {"c": w.astype(np.float16)}),
    "Identity": ("{ t = Identity (c) y = MatMul (x, t) }", lambda w: {"c": w}),
    "Reshape": (
        "{ t = Reshape (c, s) y = MatMul (x, t) }",
        lambda w: {"c": w.reshape(-1), "s": np.array([16, 16])},
    ),
    "Mul": ("{ t = Mul (c, k) y = MatMul (x, t) }", lambda w: {"c": w, "k": np.float32([2.0])}),
    "Concat": (
        "{ t = Concat <axis = 0> (c, d) y = MatMul (x, t) }",
        lambda w: {"c": w[:5], "d": w[5:]},
    ),
    "tied": (
        "{ e = Gather (c, i) t = Transpose <perm = [1, 0]> (c) a = MatMul (x, t) y = Add (a, e) }",
        lambda w: {"c": w, "i": np.array([3])},
    ),
}


@pytest.mark.parametrize("name", FOLDED)
def test_a_weight_that_comes_out_of_folding_is_quantized_like_any(name, tmp_path):
    text, constants = FOLDED[name]
    source = loaded(make(LINEAR + text, constants(weight(16, 16))), tmp_path)
    samples = samples_of(source)
    prepared = prepare_model(source, samples)
    assert_same(source, prepared, samples)
    products = [u for u in build_graph(prepared).units if {"MatMul", "Gemm"}.intersection(u.op_types)]
    assert products
    assert all(unit.quantizable for unit in products)
    assert_quantizes(prepared, samples, tmp_path)


@pytest.mark.parametrize("shape", [(1,), (), (12,), (1, 12), (4, 12), (4, 1), (1, 1)])
@pytest.mark.parametrize(
    "factors", ["alpha = 1.0", "beta = 0.5", "alpha = 2.0, beta = 3.0", "beta = 0.0", "transB = 1"]
)
def test_a_gemm_keeps_its_numbers_with_any_bias_and_factor(shape, factors, tmp_path):
    w = weight(12, 16) if "transB" in factors else weight(16, 12)
    text = f"(float[4, 16] x) => (float[4, 12] y) {{ y = Gemm <{factors}> (x, w, b) }}"
    source = loaded(make(text, {"w": w, "b": np.float32(3 * weight(*shape))}), tmp_path)
    samples = samples_of(source)
    prepared = prepare_model(source, samples)
    assert_same(source, prepared, samples)
    assert_quantizes(prepared, samples, tmp_path)


@pytest.mark.parametrize("row", [(1, 12), (12,), (1, 1), (1, 1, 12)])
def test_a_product_with_a_row_added_is_quantized(row, tmp_path):
    text = "(float[1, 4, 16] x) => (float[1, 4, 12] y) { p = MatMul (x, w) y = Add (p, b) }"
    source = loaded(make(text, {"w": weight(16, 12), "b": weight(*row)}), tmp_path)
    samples = samples_of(source)
    assert_quantizes(prepare_model(source, samples), samples, tmp_path)


def test_a_weight_that_is_also_a_summand_is_quantized_in_both_roles(tmp_path):
    text = "(float[8, 8] x) => (float[8, 8] y) { y = Gemm (x, w, w) }"
    source = loaded(make(text, {"w": weight(8, 8)}), tmp_path)
    samples = samples_of(source)
    prepared = prepare_model(source, samples)
    assert_same(source, prepared, samples)
    assert_quantizes(prepared, samples, tmp_path)


RESIZES = {
    "upsample 9 linear": (9, "Upsample", "linear", (1, 1, 2, 2)),
    "upsample 9 nearest": (9, "Upsample", "nearest", (1, 1, 3, 2)),
    "resize 10 linear": (10, "Resize", "linear", (1, 1, 2, 2)),
    "resize 10 nearest": (10, "Resize", "nearest", (1, 1, 1.5, 2.5)),
    "resize 10 linear smaller": (10, "Resize", "linear", (1, 1, 0.5, 0.75)),
    "resize 10 nearest smaller": (10, "Resize", "nearest", (1, 1, 0.5, 0.6)),
}


@pytest.mark.parametrize("name", RESIZES)
def test_resizes_of_old_opsets_keep_their_coordinates_when_converted(name, tmp_path):
    opset, operator, mode, scales = RESIZES[name]
    node = helper.make_node(operator, ["x", "s"], ["y"], mode=mode)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 10, 10])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array(scales, np.float32), "s")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=5)
    source = loaded(made, tmp_path)
    samples = samples_of(source)
    prepared = prepare_model(source, samples)
    assert_same(source, prepared, samples)
    assert next(o.version for o in prepared.opset_import if o.domain == "") == 17


def test_a_model_whose_conversion_changes_numbers_is_planned_in_its_own_opset(tmp_path):
    # Nearest that grows one side and shrinks the other: no rounding of version 17 does both.
    node = helper.make_node("Resize", ["x", "s"], ["y"], mode="nearest")
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 10, 10])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array([1, 1, 1.7, 0.6], np.float32), "s")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 10)], ir_version=5)
    source = loaded(made, tmp_path)
    samples = samples_of(source)
    prepared = prepare_model(source, samples)
    assert_same(source, prepared, samples)
    assert all("opset 10" in unit.obstacle for unit in build_graph(prepared).units)


def test_two_dimensions_of_one_symbol_may_differ(tmp_path):
    model = make("(float[N, 3, Q, Q] x) => (float[N, 3, Q, Q] y) { y = Relu (x) }", {})
    source = loaded(model, tmp_path, {"x": (1, 3, 48, 192)})
    output = prepare_model(source).graph.output[0].type.tensor_type
    assert [d.dim_value for d in output.shape.dim] == [1, 3, 48, 192]


def test_initializers_listed_as_inputs_are_constants_also_where_nothing_reads_them(tmp_path):
    model = make("(float[1, 4] x, float[4, 4] w, int64 n) => (float[1, 4] y) { y = MatMul (x, w) }",
                 {"w": weight(4, 4), "n": np.array(7)}, opset=9, ir=3)  # fmt: skip
    source = loaded(model, tmp_path)
    assert [value.name for value in source.graph.input] == ["x"]
    assert [value.name for value in prepare_model(source).graph.input] == ["x"]


def test_a_skipped_output_of_a_split_gets_a_name(tmp_path):
    node = helper.make_node("Split", ["x"], ["a", "", "c"], axis=1, num_outputs=3)
    add = helper.make_node("Add", ["a", "c"], ["y"])
    graph = helper.make_graph(
        [node, add],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    prepared = prepare_model(loaded(made, tmp_path))
    feeds = {"x": np.arange(6, dtype=np.float32)[None]}
    assert run_session(open_session(prepared, Runtime()), feeds)["y"].tolist() == [[4, 6]]


@pytest.mark.parametrize(
    "extra", ["x_scale", "x_zero_point", "x_QuantizeLinear_Output", "w_quantized", "w_scale", "h/rounded"]
)
def test_names_that_quantization_would_give_are_free(extra, tmp_path):
    text = f"(float[1, 8] x) => (float[1, 8] y) {{ h = MatMul (x, w) r = Relu (h) y = Mul (r, {extra!s}) }}"
    model = make(text.replace(extra, "k"), {"w": weight(8, 8), "k": np.full(8, 3, np.float32)})
    model.graph.initializer[1].name = extra
    model.graph.node[2].input[1] = extra
    source = loaded(model, tmp_path)
    samples = samples_of(source)
    prepared = prepare_model(source, samples)
    assert extra not in set(names_of(prepared.graph))
    assert_same(source, prepared, samples)
    assert_quantizes(prepared, samples, tmp_path)


def test_a_shape_that_is_fed_is_static_where_all_samples_agree(tmp_path):
    text = "(float[2, 6] x, int64[2] s) => (float[a, b] y) { r = Reshape (x, s) y = MatMul (r, w) }"
    source = loaded(make(text, {"w": weight(4, 5)}), tmp_path)
    feeds = [{"x": s["x"], "s": np.array([3, 4])} for s in samples_of(source)]
    prepared = prepare_model(source, feeds)
    assert [d.dim_value for d in prepared.graph.output[0].type.tensor_type.shape.dim] == [3, 5]


def test_an_output_whose_shape_differs_between_samples_is_refused(tmp_path):
    text = "(float[2, 6] x, int64[2] s) => (float[a, b] y) { y = Reshape (x, s) }"
    source = loaded(make(text, {}), tmp_path)
    feeds = [{"x": s["x"], "s": np.array([i + 1, 12 // (i + 1)])} for i, s in enumerate(samples_of(source))]
    with pytest.raises(ModelError, match="output 'y' has a dynamic shape"):
        prepare_model(source, feeds)


def test_functions_that_unfold_to_billions_of_nodes_are_refused(tmp_path):
    depth = 30
    functions = "".join(
        f'<domain: "f", opset_import: ["" : 17, "f" : 1]> '
        f"f{i} (a) => (c) {{ b = f.f{i + 1} (a) c = f.f{i + 1} (b) }} "
        for i in range(depth)
    )
    last = f'<domain: "f", opset_import: ["" : 17]> f{depth} (a) => (c) {{ c = Relu (a) }}'
    model = parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17, "f" : 1]> g (float[1] x) => (float[1] y) { y = f.f0 (x) } '
        + functions
        + last
    )
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ModelError, match="unfold to"):
        prepare_model(load_model(tmp_path / "m.onnx", {}))


@pytest.mark.parametrize("wanted", [TensorProto.INT8, TensorProto.UINT8])
def test_a_quantizer_whose_type_an_attribute_tells_is_read_right(wanted, tmp_path):
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s"], ["q"], output_dtype=wanted),
        helper.make_node("DequantizeLinear", ["q", "s"], ["d"]),
        helper.make_node("Relu", ["d"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8])],
        [numpy_helper.from_array(np.float32(0.05), "s")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    source = loaded(made, tmp_path)
    samples = samples_of(source)
    prepared = prepare_model(source, samples)
    assert_same(source, prepared, samples)
    types = {v.name: v.type.tensor_type.elem_type for v in prepared.graph.value_info}
    assert wanted in types.values()


def test_a_resize_that_names_its_axes_is_spread_over_all(tmp_path):
    text = (
        "(float[1, 3, 8, 8] x) => (float[1, 3, 16, 24] y) "
        '{ y = Resize <mode = "nearest", axes = [2, 3]> (x, , s) }'
    )
    source = loaded(make(text, {"s": np.float32([2, 3])}, opset=18), tmp_path)
    samples = samples_of(source)
    prepared = prepare_model(source, samples)
    assert_same(source, prepared, samples)
    assert not any(a.name == "axes" for node in prepared.graph.node for a in node.attribute)


def test_a_zero_length_tensor_is_static(tmp_path):
    text = "(float[2, 4] x) => (float[2, 4] y) { z = Slice (x, b, b, a) y = Concat <axis = 1> (x, z) }"
    source = loaded(make(text, {"b": np.array([1]), "a": np.array([1])}), tmp_path)
    samples = samples_of(source)
    assert_same(source, prepare_model(source, samples), samples)


def test_a_sparse_constant_becomes_a_plain_one(tmp_path):
    dense = weight(6, 4)
    dense[dense < 0.1] = 0
    places = np.flatnonzero(dense)
    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(dense.reshape(-1)[places], "w"),
        numpy_helper.from_array(places, "w_at"),
        [6, 4],
    )
    model = make("(float[1, 6] x) => (float[1, 4] y) { y = MatMul (x, w) }", {"w": dense})
    plain = loaded(model, tmp_path)
    del model.graph.initializer[:]
    model.graph.sparse_initializer.append(sparse)
    source = loaded(model, tmp_path)
    samples = samples_of(source)
    assert_same(plain, prepare_model(source, samples), samples)


def test_nodes_in_any_order_are_sorted(tmp_path):
    model = make("(float[1, 4] x) => (float[1, 4] y) { h = MatMul (x, w) r = Relu (h) y = MatMul (r, w) }",
                 {"w": weight(4, 4)})  # fmt: skip
    source = loaded(model, tmp_path)
    nodes = [model.graph.node[i] for i in (2, 0, 1)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    mixed = loaded(model, tmp_path)
    samples = samples_of(source)
    assert_same(source, prepare_model(mixed, samples), samples)


def test_a_graph_without_a_name_gets_one(tmp_path):
    model = make("(float[1, 4] x) => (float[1, 4] y) { y = Relu (x) }", {})
    model.graph.name = ""
    onnx.checker.check_model(prepare_model(loaded(model, tmp_path)))


def test_an_unread_node_is_left_out(tmp_path):
    model = make("(float[1, 4] x) => (float[1, 4] y) { n = Neg (x) y = Relu (x) }", {})
    assert [node.op_type for node in prepare_model(loaded(model, tmp_path)).graph.node] == ["Relu"]


def test_a_branch_that_is_not_taken_may_be_for_another_rank(tmp_path):
    text = """(float[1, n, 3] x, bool c) => (float[k, 3] y) {
        y = If (c) <
            then_branch = flat () => (float[k, 3] a) { a = Squeeze (x, first) },
            else_branch = deep () => (float[k, 3] b) { b = Squeeze (x, second) }
        >
    }"""
    model = make(text, {"first": np.array([0]), "second": np.array([1])})
    source = loaded(model, tmp_path, {"x": (1, 5, 3)})
    samples = [{"x": weight(1, 5, 3), "c": np.array(True)} for _ in range(3)]
    prepared = prepare_model(source, samples)
    assert_same(source, prepared, samples)
    assert [d.dim_value for d in prepared.graph.output[0].type.tensor_type.shape.dim] == [5, 3]
    assert build_graph(prepared).units


def test_weights_of_half_precision_are_quantized_like_others(tmp_path):
    text = "(float16[1, 8] x) => (float16[1, 8] y) { h = MatMul (x, w) r = Relu (h) y = MatMul (r, v) }"
    model = make(text, {"w": weight(8, 8).astype(np.float16), "v": weight(8, 8).astype(np.float16)})
    source = loaded(model, tmp_path)
    samples = samples_of(source)
    graph = build_graph(prepare_model(source, samples))
    products = [unit for unit in graph.units if "MatMul" in unit.op_types]
    assert len(products) == 2
    assert all(unit.quantizable for unit in products)
    assert not any(init.data_type == TensorProto.FLOAT16 for init in graph.model.graph.initializer)


def test_a_quantizer_to_four_bits_without_a_zero_point_stays_inside_one_unit(tmp_path):
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s"], ["q"], output_dtype=TensorProto.INT4),
        helper.make_node("DequantizeLinear", ["q", "s"], ["d"]),
        helper.make_node("Relu", ["d"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8])],
        [numpy_helper.from_array(np.float32(0.3), "s")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    source = loaded(made, tmp_path)
    samples = samples_of(source)
    prepared = prepare_model(source, samples)
    assert_same(source, prepared, samples)
    assert build_graph(prepared).units


def test_made_up_numbers_keep_sizes_and_axes_fixed(tmp_path):
    text = "(float[2, 6] x, int64[1] a) => (float[n] y) { y = ReduceSum <keepdims = 0> (x, a) }"
    output = prepare_model(loaded(make(text, {}), tmp_path)).graph.output[0]
    assert [d.dim_value for d in output.type.tensor_type.shape.dim] in ([2], [6])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_model_that_answers_no_number_at_all_is_refused(value, tmp_path):
    """Beside answers of NaN alone, every plan would be called exact."""
    graph = "(float[1, 4] x) => (float[1, 4] y) { y = Add (x, w) }"
    model = loaded(make(graph, {"w": np.full((1, 4), value, np.float32)}), tmp_path)
    with pytest.raises(ModelError, match="answers NaN or infinity and nothing else \\(output 'y'\\)"):
        prepare_model(model, samples_of(model))


def test_a_model_that_answers_nan_among_numbers_is_prepared_and_that_is_said(tmp_path, caplog):
    graph = "(float[1, 4] x) => (float[1, 4] y, float[1, 4] z) { y = Log (x) z = Exp (x) }"
    model = loaded(make(graph, {}), tmp_path)
    with caplog.at_level("WARNING"):
        prepare_model(model, [{"x": np.float32([[-1, 1, 2, 3]])}])
    assert "output 'y' of the fp32 model holds NaN" in caplog.text
    assert "'z'" not in caplog.text
