import models
import numpy as np
from onnx import checker
from planned_models import plan_model


def props(entries) -> dict[str, str]:
    return {entry.key: entry.value for entry in entries}


def test_models_carry_the_assignment(tmp_path):
    arrays = {"x": np.random.default_rng(0).standard_normal((8, 1, 2, 8, 8)).astype(np.float32)}
    outcome = plan_model(
        tmp_path,
        models.residual(),
        arrays,
        devices=[{"name": "a"}, {"name": "b", "scaled_from": "a", "speedup": 9}],
        links=[{"from": "a", "to": "b", "bandwidth_mbit_per_s": 1}],
        sink="b",
    )
    known = {node: one for one in outcome.plan.assignments for node in one.nodes}
    for model in (outcome.built.mixed, *(stage.model for stage in outcome.built.stages)):
        checker.check_model(model)
        for node in model.graph.node:
            if node.name in known:
                one = known[node.name]
                assert props(node.metadata_props) == {
                    "splitquant.unit": one.unit,
                    "splitquant.device": one.device,
                    "splitquant.precision": one.precision.value,
                }
    devices = [stage.device for stage in outcome.built.stages]
    for number, stage in enumerate(outcome.built.stages):
        found = props(stage.model.metadata_props)
        assert found["splitquant.stage"] == f"{number:02d}"
        assert found["splitquant.device"] == stage.device
        assert found["splitquant.chain"] == " > ".join(devices)
    assert outcome.plan.measured.chain.basic_bit_equal
