import models
import numpy as np
import onnxruntime as ort
import pytest
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
                    "layer_ann": one.device,
                }
    devices = [stage.device for stage in outcome.built.stages]
    for number, stage in enumerate(outcome.built.stages):
        found = props(stage.model.metadata_props)
        assert found["splitquant.stage"] == f"{number:02d}"
        assert found["splitquant.device"] == stage.device
        assert found["splitquant.chain"] == " > ".join(devices)
    assert outcome.plan.measured.chain.basic_bit_equal


@pytest.mark.skipif(
    "AzureExecutionProvider" not in ort.get_available_providers(),
    reason="only the package of a release has a second provider",
)
def test_the_runtime_assigns_a_devices_nodes_to_the_provider_that_the_session_names(tmp_path):
    arrays = {"x": np.random.default_rng(0).standard_normal((8, 1, 2, 8, 8)).astype(np.float32)}
    links = [{"from": "a", "to": "ab", "bandwidth_mbit_per_s": 1}]
    devices = [{"name": "a"}, {"name": "ab", "scaled_from": "a", "speedup": 9}]
    outcome = plan_model(tmp_path, models.residual(), arrays, devices=devices, links=links, sink="ab")
    used = {one.device for one in outcome.plan.assignments}
    model = outcome.built.mixed.SerializeToString()
    for device in ("a", "ab"):
        options = ort.SessionOptions()
        options.log_severity_level = 4
        # A name may begin with another one: `=` asks for the whole name.
        options.add_session_config_entry(
            "session.layer_assignment_settings", f"AzureExecutionProvider(={device})"
        )
        providers = ["CPUExecutionProvider", "AzureExecutionProvider"]
        if device in used:  # this provider has no kernel for the nodes that it is given
            with pytest.raises(Exception, match="Could not find an implementation"):
                ort.InferenceSession(model, options, providers=providers)
        else:
            ort.InferenceSession(model, options, providers=providers)
    assert used
