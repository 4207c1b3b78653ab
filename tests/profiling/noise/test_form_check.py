from dataclasses import replace

import dense_models
import numpy as np
import pytest
from crash_notes import write_crashes
from onnx import numpy_helper
from prepared_models import Prepared

from profiling.graph.unit_graph import build_graph, with_refusals
from profiling.noise.form_check import FormCheck
from profiling.noise.unit_check import UnitCheck, refused_units
from profiling.on_device.create_session import Optimization
from profiling.precision import OFFERED, Precision
from profiling.preparation.rewrite_steps import prepare_model
from profiling.quantization.block_weights import BlockWeights
from profiling.quantization.calibration import Calibration
from profiling.quantization.node_form import NodeForm, Replacement
from profiling.quantization.node_forms import FORMS
from profiling.quantization.qdq_model import Scheme
from profiling.runtime.crash_journal import CrashJournal

PRECISION = Precision.WEIGHTS_INT8


class Faulty(NodeForm):
    """A form whose products, or those of some nodes, come out wrong or do not run."""

    def __init__(self, what: str, only: str = "") -> None:
        self.what, self.only, self.sound = what, only, FORMS[PRECISION]

    def obstacle(self, node, constants) -> str:
        return self.sound.obstacle(node, constants)

    def replaced(self, node, constants, fresh) -> Replacement:
        found = self.sound.replaced(node, constants, fresh)
        if self.only and node.name != self.only:
            return found
        if self.what == "no kernel":
            found.nodes[0].op_type = "MatMulWithoutKernel"
            return found
        scales = numpy_helper.from_array(
            numpy_helper.to_array(found.constants[1]) * np.float32(1.2), found.constants[1].name
        )
        return replace(found, constants=(found.constants[0], scales))

    def in_float(self, node, constants, fresh) -> Replacement:
        return self.sound.in_float(node, constants, fresh)

    def weight_bytes(self, node, constants) -> dict[str, int]:
        return self.sound.weight_bytes(node, constants)


@pytest.fixture(scope="module")
def dense(tmp_path_factory) -> Prepared:
    return Prepared(dense_models.transformer(), tmp_path_factory.mktemp("dense"), "dense")


def reasons_of(prepared, form, folder) -> dict[str, str]:
    journal = CrashJournal(folder / "j.journal")
    scheme = Scheme(precision=PRECISION)
    check = FormCheck(prepared.graph, scheme, form, prepared.samples[:2], Optimization.DEFAULT, journal)
    return check.refused_units()


def able(graph) -> list[str]:
    return [unit.name for unit in graph.units if unit.can_be(PRECISION)]


@pytest.mark.parametrize("precision", list(FORMS))
def test_sound_units_pass(dense, tmp_path, precision):
    calibration = Calibration(Scheme(precision=precision), dense.calibration.ranges)
    journal = CrashJournal(tmp_path / "j.journal")
    check = UnitCheck(dense.graph, calibration, dense.samples[:2], Optimization.DEFAULT, journal)
    assert refused_units(check) == {}


@pytest.mark.parametrize(
    ("what", "why"), [("no kernel", "it does not run"), ("scale", "where rounding alone")]
)
def test_a_unit_that_fails_or_is_wrong_is_refused_and_no_other(dense, tmp_path, what, why):
    name = able(dense.graph)[3]
    node = next(unit for unit in dense.graph.units if unit.name == name).nodes[0]
    reasons = reasons_of(dense, Faulty(what, only=node), tmp_path)
    assert list(reasons) == [name]
    assert why in reasons[name]
    graph = with_refusals(dense.graph, {PRECISION: reasons})
    assert name not in able(graph)
    assert [u.can_be(Precision.INT8) for u in graph.units] == [
        u.can_be(Precision.INT8) for u in dense.graph.units
    ]


def test_a_form_that_always_fails_is_offered_to_no_unit(dense, tmp_path):
    reasons = reasons_of(dense, Faulty("no kernel"), tmp_path)
    assert set(reasons) == set(able(dense.graph))
    assert not able(with_refusals(dense.graph, {PRECISION: reasons}))


def test_what_ended_the_runtime_is_not_tried_again(dense, tmp_path):
    first, name = able(dense.graph)[:2]
    write_crashes(tmp_path / "j.journal", f"{name} {PRECISION}")
    assert list(reasons_of(dense, FORMS[PRECISION], tmp_path)) == [name]
    write_crashes(tmp_path / "j.journal", f"all units {PRECISION}")
    reasons = reasons_of(dense, FORMS[PRECISION], tmp_path)
    assert set(reasons) == set(able(dense.graph))
    assert "ended ONNX Runtime" in reasons[first]


def test_a_unit_without_any_precision_left_has_an_obstacle(dense):
    name = able(dense.graph)[0]
    graph = with_refusals(dense.graph, {p: {name: f"no {p}"} for p in OFFERED})
    (unit,) = [u for u in graph.units if u.name == name]
    assert unit.obstacle == "no int8"
    assert not unit.quantizable


def test_a_unit_refused_in_int8_stays_free_for_weights_alone(dense):
    name = able(dense.graph)[0]
    graph = with_refusals(dense.graph, {Precision.INT8: {name: "wrong"}})
    (unit,) = [u for u in graph.units if u.name == name]
    assert not unit.can_be(Precision.INT8)
    assert not unit.can_be(Precision.INT16)
    assert unit.can_be(PRECISION)
    assert graph.tensors_quantized_with(unit.index) == ()
    assert not set(unit.nodes) & set(graph.quantizable_nodes)


def test_what_holds_infinity_is_not_offered():
    model = dense_models.transformer()
    weight = model.graph.initializer[0]
    values = numpy_helper.to_array(weight).copy()
    values[0, 0] = np.inf
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    graph = build_graph(prepare_model(model))
    sound = build_graph(prepare_model(dense_models.transformer()))
    assert len(able(graph)) == len(able(sound)) - 1
    assert any("holds infinity" in unit.why_not(PRECISION) for unit in graph.units)
    assert BlockWeights(8, 32).obstacle(model.graph.node[0], {weight.name: weight}) == ""
