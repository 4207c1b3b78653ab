"""Units are operators on integers only where no bit differs from int8 as the runtime computes it."""

import json
from dataclasses import replace

import models
import numpy as np
import onnx
import pytest
from crash_notes import write_crashes

from planner.cli.commands import main
from profiling.graph.unit_graph import with_refusals
from profiling.noise.operator_check import OperatorCheck
from profiling.noise.unit_check import UnitCheck, refused_units
from profiling.on_device.create_session import Optimization
from profiling.precision import Precision
from profiling.quantization.calibration import Calibration
from profiling.quantization.qdq_model import Scheme, quantize
from profiling.runtime.crash_journal import CrashJournal

QOPERATOR = Precision.INT8_QOPERATOR


def check_of(prepared, folder, scheme: Scheme | None = None, level=Optimization.DEFAULT) -> UnitCheck:
    scheme = (scheme or prepared.calibration.scheme).at(QOPERATOR)
    calibration = Calibration(scheme, prepared.calibration.ranges)
    journal = CrashJournal(folder / "j.journal")
    return UnitCheck(prepared.graph, calibration, prepared.samples[:2], level, journal)


def operator_check(prepared, folder) -> OperatorCheck:
    everything = prepared.calibration.of(prepared.graph.quantizable_nodes)
    model = quantize(prepared.graph.model, everything, prepared.calibration.ranges)
    model = onnx.shape_inference.infer_shapes(model)
    journal = CrashJournal(folder / "j.journal")
    samples = prepared.samples[:2]
    return OperatorCheck(prepared.graph, model, "int8-qoperator", samples, Optimization.DEFAULT, journal)


@pytest.mark.parametrize("name", ["digits", "residual", "branches"])
def test_sound_units_pass(name, request, tmp_path):
    assert refused_units(check_of(request.getfixturevalue(name), tmp_path)) == {}


def test_symmetric_integers_do_not_clip_as_a_relu_does(residual, tmp_path):
    scheme = Scheme(symmetric=True, reduce_range=True)
    reasons = refused_units(check_of(residual, tmp_path, scheme))
    with_relu = {unit.name for unit in residual.graph.units if "Relu" in unit.op_types}
    assert with_relu
    told = "in int8-qoperator, Relu clips at other numbers than the range of its integers does"
    assert reasons == dict.fromkeys(with_relu, told)
    graph = with_refusals(residual.graph, {QOPERATOR: reasons})
    for before, after in zip(residual.graph.units, graph.units, strict=True):
        assert after.can_be(QOPERATOR) == (before.name not in reasons)
        assert replace(after, refused={}) == replace(before, refused={})
        assert after.can_be(Precision.INT8)
        assert after.can_be(Precision.INT16)


def test_what_int8_cannot_be_it_cannot_be_either(residual):
    name = residual.graph.units[0].name
    first, *rest = with_refusals(residual.graph, {Precision.INT8: {name: "it is wrong"}}).units
    assert first.why_not(QOPERATOR) == "it is wrong"
    assert all(unit.can_be(QOPERATOR) for unit in rest)


def test_nothing_has_it_where_integer_kernels_must_not_run(residual, tmp_path):
    reasons = refused_units(check_of(residual, tmp_path, level=Optimization.BASIC))
    assert set(reasons) == {unit.name for unit in residual.graph.units}
    assert all("overflow on this machine" in reason for reason in reasons.values())


def test_what_ended_the_runtime_is_not_tried_again(residual, tmp_path):
    name = residual.graph.units[0].name
    write_crashes(tmp_path / "j.journal", f"{name} int8-qoperator")
    reasons = operator_check(residual, tmp_path).refused_units()
    assert reasons == {name: "in int8-qoperator, it ended ONNX Runtime (it crashed)"}


def test_a_model_with_a_quantizer_without_zero_point_is_tried_out_and_inspected(tmp_path, capsys):
    text = """
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[1, 2, 6, 6] x) => (float[1, 2, 6, 6] y)
        <float[2, 2, 1, 1] w, float[2] b, float[2, 2, 1, 1] v, float[2] c, float s>
        {
            q = QuantizeLinear (x, s)
            d = DequantizeLinear (q, s)
            r = Relu (d)
            m = Conv <kernel_shape = [1, 1]> (r, w, b)
            n = Relu (m)
            y = Conv <kernel_shape = [1, 1]> (n, v, c)
        }
    """
    model = models.with_weights(text)
    for init in model.graph.initializer:
        if init.name == "s":
            init.CopyFrom(onnx.numpy_helper.from_array(np.array(0.02, np.float32), "s"))
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(SystemExit, match="0"):
        main(["inspect", str(tmp_path / "m.onnx"), "--json"])
    units = json.loads(capsys.readouterr().out)["units"]
    assert not units[-1]["modes"]["int8-qoperator"]
