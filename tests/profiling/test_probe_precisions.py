"""What a probe of whole models shows, against models that are built and run otherwise."""

import dense_models
import numpy as np
import pytest
from prepared_models import Prepared

from profiling import probe_precisions as probing
from profiling.errors import QuantizeError
from profiling.precision import OFFERED, Precision
from profiling.probe_precisions import PrecisionProbe, probe_precisions
from profiling.quantization.node_form import with_forms
from profiling.quantization.node_forms import FORMS, form_of
from profiling.quantization.qdq_model import quantize
from profiling.records.json_files import load_json, save_json
from profiling.runtime.open_session import Runtime, open_session, run_session


@pytest.fixture(scope="module")
def dense(tmp_path_factory) -> Prepared:
    return Prepared(dense_models.transformer(), tmp_path_factory.mktemp("dense"), "dense")


def probe(prepared: Prepared, precisions=OFFERED) -> PrecisionProbe:
    return probe_precisions(prepared.graph, prepared.calibration, prepared.samples[:3], Runtime(), precisions)


@pytest.fixture(scope="module")
def found(dense) -> PrecisionProbe:
    return probe(dense)


def outputs(model, samples) -> np.ndarray:
    session = open_session(model, Runtime())
    return np.concatenate([run_session(session, feeds)["y"].ravel() for feeds in samples])


def whole_model(prepared: Prepared, precision: Precision):
    nodes = {n for unit in prepared.graph.units if unit.can_be(precision) for n in unit.nodes}
    if precision in FORMS:
        form = form_of(precision, reduce_range=prepared.calibration.scheme.at(precision).reduce_range)
        return with_forms(prepared.graph.model, dict.fromkeys(nodes, form))
    schemes = dict.fromkeys(nodes, prepared.calibration.scheme.at(precision))
    return quantize(prepared.graph.model, schemes, prepared.calibration.ranges, prepared.graph.guarded_nodes)


@pytest.mark.parametrize("precision", OFFERED)
def test_the_error_is_that_of_the_whole_model_in_the_precision(dense, found, precision):
    row = next(row for row in found.rows if row.precision is precision)
    exact = outputs(dense.graph.model, dense.samples[:3])
    actual = outputs(whole_model(dense, precision), dense.samples[:3])
    expected = float(np.square(actual - exact).sum() / np.square(exact).sum())
    assert row.noise_power == pytest.approx(expected, rel=1e-4)
    assert row.units == sum(unit.can_be(precision) for unit in dense.graph.units)


def test_every_precision_is_timed_in_turn_with_fp32(found):
    assert [row.precision for row in found.rows] == list(OFFERED)
    assert all(row.rounds > 0 and row.ratio > 0 and row.standard_error >= 0 for row in found.rows)


def test_a_probe_survives_the_way_through_a_file(found, tmp_path):
    save_json(found, tmp_path / "p.json")
    assert load_json(tmp_path / "p.json", PrecisionProbe) == found


def test_a_precision_that_no_unit_can_have_is_not_run(residual):
    (row,) = probe(residual, [Precision.INT4_DYNAMIC]).rows
    assert (row.units, row.rounds, row.noise_power) == (0, 0, 0.0)


def test_a_long_run_is_timed_once(residual, monkeypatch):
    monkeypatch.setattr(probing, "_PROBED_S", 0.0)
    (row,) = probe(residual, [Precision.INT8]).rows
    assert row.rounds == 1


def test_a_precision_whose_model_does_not_run_says_why_and_leaves_the_others(residual, monkeypatch):
    sound = probing.mixed_model

    def fail_in_int16(graph, schemes, ranges):
        if Precision.INT16 in {scheme.precision for scheme in schemes.values()}:
            raise QuantizeError("the tool refuses it")
        return sound(graph, schemes, ranges)

    monkeypatch.setattr(probing, "mixed_model", fail_in_int16)
    int8, int16 = probe(residual, [Precision.INT8, Precision.INT16]).rows
    assert int8.fault == ""
    assert (int16.fault, int16.rounds) == ("the tool refuses it", 0)
