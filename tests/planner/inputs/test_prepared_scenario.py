import json
from dataclasses import replace

import models
import numpy as np
import onnx
import pytest
from planned_models import scenario_around

from planner.errors import DataError
from planner.inputs.prepared_scenario import (
    SourceModel,
    check_inputs,
    few_samples,
    group_units,
    load_datasets,
    load_source,
    prepare,
)
from profiling.errors import ModelError
from profiling.precision import Precision

RNG = np.random.default_rng(0)


def samples(count: int = 8, **arrays) -> dict[str, np.ndarray]:
    return {"x": RNG.standard_normal((count, 1, 2, 8, 8)).astype(np.float32)} | arrays


def labelled(scenario, **changes):
    """Return a scenario whose two parts of data have labels."""
    part = scenario.data.calibration.model_copy(update={"labels": "y"} | changes)
    return scenario.model_copy(
        update={"data": scenario.data.model_copy(update={"calibration": part, "evaluation": part})}
    )


def test_a_scenario_is_prepared_with_a_quarter_of_the_calibration_data_held_back(tmp_path):
    told: list[tuple] = []
    prepared = prepare(
        scenario_around(tmp_path, models.residual(), samples(9)), lambda *row: told.append(row)
    )
    assert len(prepared.subject.calibration.samples) == 7
    assert len(prepared.held_back.samples) == 2
    assert len(prepared.evaluation.samples) == 9
    assert prepared.converted_from is prepared.metric is None
    assert prepared.ranges.is_file()
    assert prepared.subject.graph is prepared.models.graph
    assert ("reading the model", 1, 1) in told


@pytest.mark.parametrize("count", [1, 3])
def test_too_few_samples_to_hold_a_quarter_back_are_refused(tmp_path, count):
    scenario = scenario_around(tmp_path, models.residual(), samples(count))
    with pytest.raises(
        DataError, match=rf"data.calibration: needs at least 4 samples, got {count}: a quarter"
    ):
        load_datasets(scenario, load_source(scenario))


def test_what_is_said_of_inputs_that_the_model_has_not_is_refused(tmp_path):
    wires = {"inputs": {"x": {"wire_bytes": 10}, "image": {"wire_bytes": 10}}}
    scenario = scenario_around(tmp_path, models.residual(), samples(), **wires)
    with pytest.raises(ModelError, match="^inputs.image: the model has no such input; it has x"):
        load_source(scenario)
    check_inputs(scenario, ["image", "x", "more"])


def test_a_sample_has_to_give_what_the_models_inputs_are(tmp_path):
    source = SourceModel(
        onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[1, 3] a, int64[2] b, bool[] c) => (float[1, 3] y) { y = Relu (a) }
    """)
    )
    assert [(one.name, one.dtype, one.shape, one.channels_last) for one in source.inputs] == [
        ("a", "float32", (1, 3), False),
        ("b", "int64", (2,), False),
        ("c", "bool", (), False),
    ]


@pytest.mark.parametrize(
    ("labels", "changes", "message"),
    [
        (
            [0, 1, 2, 4, 0, 1, 2, 3],
            {},
            "data.calibration.labels: values run from 3 to 4, but the model has 4",
        ),
        ([0, 1, 2, 4, 0, 1, 2, 3], {"label_offset": -1}, "data.calibration.labels: values run from -1 to 1"),
        ([4, 1, 2, 3, 0, 1, 2, 3], {}, "data.calibration.labels: values run from 0 to 4"),
    ],
)
def test_labels_beyond_the_models_classes_are_told_whichever_part_they_are_in(
    tmp_path, labels, changes, message
):
    scenario = labelled(scenario_around(tmp_path, models.residual(), samples(y=np.array(labels))), **changes)
    source = load_source(scenario)
    with pytest.raises(DataError, match=message):
        group_units(scenario, source, load_datasets(scenario, source))


def test_labels_of_the_evaluation_data_are_checked_too(tmp_path):
    scenario = scenario_around(tmp_path, models.residual(), samples(y=np.full(8, 9)))
    part = scenario.data.evaluation.model_copy(update={"labels": "y"})
    scenario = scenario.model_copy(update={"data": scenario.data.model_copy(update={"evaluation": part})})
    source = load_source(scenario)
    with pytest.raises(DataError, match="data.evaluation.labels: values run from 9 to 9"):
        group_units(scenario, source, load_datasets(scenario, source))


def test_folders_that_are_not_all_classes_are_refused(tmp_path):
    scenario = scenario_around(tmp_path, models.residual(), samples())
    source = load_source(scenario)
    data = load_datasets(scenario, source)
    named = replace(data, evaluation=replace(data.evaluation, class_names=("ant", "cat")))
    with pytest.raises(DataError, match=r"data\.evaluation\.labels: name 2 classes"):
        group_units(scenario, source, named)


def test_an_accuracy_budget_needs_labels(tmp_path):
    scenario = scenario_around(
        tmp_path, models.residual(), samples(y=np.arange(8) % 4), budget={"accuracy_drop": 0.1}
    )
    source = load_source(scenario)
    with pytest.raises(DataError, match="budget.accuracy_drop needs data.evaluation.labels"):
        group_units(scenario, source, load_datasets(scenario, source))
    own = labelled(scenario)
    source = load_source(own)
    assert group_units(own, source, load_datasets(own, source)).graph.units


def test_a_conversion_is_checked_on_four_samples_spread_over_all(tmp_path):
    scenario = scenario_around(tmp_path, models.residual(), samples(13))
    data = load_datasets(scenario, load_source(scenario))
    few = few_samples(data.evaluation)
    whole = list(data.evaluation.samples)
    assert [next(i for i, one in enumerate(whole) if np.array_equal(one["x"], f["x"])) for f in few] == [
        0,
        4,
        8,
        12,
    ]


def test_every_way_to_quantize_is_there_once_and_eight_bits_come_first(tmp_path):
    devices = [
        {"name": "a", "quantization": {"reduce_range": True}},
        {"name": "b", "quantization": {"symmetric": True, "reduce_range": True}},
        {"name": "c", "quantization": {"reduce_range": True}},
    ]
    scenario = scenario_around(
        tmp_path, models.residual(), samples(), devices=devices, precisions=["fp32", "int8", "int16"]
    )
    prepared = prepare(scenario)
    schemes = [calibration.scheme for calibration in prepared.calibrations]
    assert [(scheme.wide, scheme.symmetric) for scheme in schemes] == [
        (False, False),
        (False, True),
        (True, False),
        (True, True),
    ]
    assert all(calibration.ranges == prepared.ranges for calibration in prepared.calibrations)
    assert prepared.calibration("b").scheme.as_rounded == schemes[1]
    other_layout = {**prepared.schemes, "c": replace(prepared.schemes["a"], blocked_layout=True)}
    assert [one.scheme for one in replace(prepared, schemes=other_layout).calibrations] == schemes
    only_int8 = replace(
        prepared, scenario=scenario.model_copy(update={"precisions": (Precision.FP32, Precision.INT8)})
    )
    assert [calibration.scheme for calibration in only_int8.calibrations] == schemes[:2]


def test_compressed_weights_are_found_once_and_hardly_more_than_plain_ones(tmp_path):
    scenario = scenario_around(tmp_path, models.residual(), samples(), weights="compressed")
    told: list[tuple] = []
    prepared = prepare(scenario, lambda *row: told.append(row))
    assert ("compressing weights", 1, 1) in told
    graph = prepared.models.graph
    assert prepared.subject.graph is graph
    for unit in graph.units:
        for precision in (Precision.FP32, Precision.INT8) if unit.quantizable else (Precision.FP32,):
            assert 0 <= graph.stored_bytes(unit.index, precision) <= unit.weight_bytes_in(precision) + 64
    told.clear()
    again = prepare(scenario, lambda *row: told.append(row))
    assert not any(what == "compressing weights" for what, *_ in told)
    assert again.models.graph.stored_weight_bytes == graph.stored_weight_bytes


def test_a_metric_that_is_not_there_is_told_before_the_model_is_read(tmp_path):
    scenario = scenario_around(tmp_path, models.residual(), samples())
    own = scenario.model_copy(
        update={"metric": f"{tmp_path}/no_such_metric:f", "model": json.dumps("unread")}
    )
    with pytest.raises(DataError, match="metric: no_such_metric:f cannot be used"):
        prepare(own)


def test_doubts_of_samples_are_told_once_there_is_something_that_they_show(tmp_path, caplog):
    prepared = prepare(scenario_around(tmp_path, models.residual(), samples(9)))
    assert caplog.text == ""  # who made a mistake elsewhere reads of that alone
    prepared.warn_of_samples()
    assert "9 samples are few" in caplog.text
