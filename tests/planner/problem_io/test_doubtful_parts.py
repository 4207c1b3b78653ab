import copy
import json
import logging
import re

import pytest
from repository import ROOT

from planner.problem_io.doubtful_parts import doubtful_parts
from planner.problem_io.loader import parse_spec
from planner.problem_io.solve_file import SolverChanges, solve_spec

EXAMPLE = json.loads((ROOT / "scenarios" / "problem.json").read_text())
OPTION = {"device": "camera", "seconds": 1}


def spec_of(**changes):
    return parse_spec(json.dumps(copy.deepcopy(EXAMPLE) | changes).encode(), "p")


def without(*names: str) -> list[dict]:
    return [tensor for tensor in EXAMPLE["tensors"] if tensor["name"] not in names]


def test_the_example_leaves_no_doubt():
    assert list(doubtful_parts(spec_of())) == []


@pytest.mark.parametrize(
    ("names", "doubts"),
    [
        (("features",), ["unit 'conv2' reads no tensor", "unit 'conv1' writes no tensor"]),
        (("picture",), ["end 'lens' neither reads nor writes a tensor"]),
        (("answer",), ["end 'alarm' neither reads nor writes a tensor"]),
        (
            ("features", "pooled"),
            ["units 'conv2', 'classes' read no tensor", "units 'conv1', 'conv2' write no tensor"],
        ),
        (("picture", "features", "pooled", "answer"), []),  # units without any tensors are meant so
    ],
)
def test_a_tensor_that_was_forgotten_leaves_units_that_read_or_write_none(names, doubts):
    assert list(doubtful_parts(spec_of(tensors=without(*names)))) == doubts


def test_without_ends_the_parts_that_no_tensor_joins_are_told():
    assert list(doubtful_parts(spec_of(ends=[], tensors=without("picture", "answer")))) == []
    (doubt,) = doubtful_parts(spec_of(ends=[], tensors=without("picture", "features", "answer")))
    assert doubt == "no tensor leads from one to another of the parts that begin with units 'conv1', 'conv2'"


def test_models_of_their_own_are_no_parts_of_one():
    units = [{"name": name, "model": name[0], "options": [OPTION]} for name in ("a1", "a2", "b1")]
    tensor = {"name": "t", "from": "a1", "to": ["a2"], "bytes": 1}
    models = [{"name": "a"}, {"name": "b"}]
    spec = spec_of(models=models, units=units, ends=[], tensors=[tensor], limits=[])
    assert list(doubtful_parts(spec)) == []


@pytest.mark.parametrize(
    ("left_out", "doubt"),
    [
        ("formats", 'tensor \'features\' has quantized_by but no formats, .*{"uint8": {"bytes": 32768}}'),
        ("quantized_by", "tensor 'features' has formats but no quantized_by, so none of them is used"),
    ],
)
def test_quantized_tensors_need_both_keys(left_out, doubt, caplog):
    tensors = copy.deepcopy(EXAMPLE["tensors"])
    del tensors[1][left_out]
    with caplog.at_level(logging.WARNING):
        answer = solve_spec(spec_of(tensors=tensors), SolverChanges())
    assert not answer.is_infeasible
    (record,) = caplog.records
    assert re.fullmatch(doubt, record.getMessage())
