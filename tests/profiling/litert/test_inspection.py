import pytest

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
pytest.importorskip("litert_quantizer", reason="the extra litert is not installed")
import tflite_models
from tflite_models import OPS

from profiling.errors import ModelError
from profiling.litert.inspection import inspect_litert


def inspected(model, folder, **options):
    path = folder / "m.tflite"
    path.write_bytes(model.content())
    return inspect_litert(path, options.pop("shapes", {}), **options)


def test_it_tells_ends_operators_units_and_modes(tmp_path):
    found = inspected(tflite_models.branching(), tmp_path)
    assert (found.runtime, found.opset, found.tried_out) == ("litert", 0, True)
    assert found.operators["CONV_2D"] == 2
    assert [(end.name, end.shape, end.size_bytes) for end in found.inputs] == [
        ("image", (1, 6, 6, 4), 576),
        ("meta", (1, 3), 12),
    ]
    assert [end.name for end in found.outputs] == ["logits", "chances", "joined"]
    units = {unit.name: unit for unit in found.units}
    assert not any(unit.obstacle for unit in found.units)
    assert units["stem"].modes["int8-dynamic"] == ""
    assert (
        units["chances"].modes["int8-dynamic"].startswith("SOFTMAX: LiteRT's quantizer has no int8-dynamic")
    )
    assert all(unit.fp32_s >= 0 for unit in found.units)
    assert found.weight_bytes_int8 < found.weight_bytes


def test_a_model_that_does_not_run_here_is_inspected_all_the_same(tmp_path, caplog):
    model = tflite_models.branching()
    model.op(OPS.CUSTOM, [model.graph.outputs[1]], [model.tensor("y", (1, 5))], custom=b"FlexDet")
    model.graph.outputs = [len(model.graph.tensors) - 1]
    found = inspected(model, tmp_path)
    assert not found.tried_out
    assert found.units[-1].obstacle == "FlexDet is TensorFlow's own: it runs with the Flex delegate only"
    assert found.units[0].modes == {}
    assert found.units[0].fp32_s is None
    assert "FlexDet" in caplog.text


def test_nothing_is_written_about_a_damaged_file(tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(tflite_models.branching().content()[:900])
    with pytest.raises(ModelError, match="damaged or truncated"):
        inspect_litert(path, {})
    assert [file.name for file in tmp_path.iterdir()] == ["m.tflite"]


def test_an_empty_graph_is_inspected(tmp_path):
    model = tflite_models.Model()
    found = inspected(model.give(model.input("x", (1, 4))), tmp_path)
    assert (found.units, found.weight_bytes) == ((), 0)
