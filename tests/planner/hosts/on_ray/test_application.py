"""A stage as a replica holds it, and the application as Ray Serve asks for it; no cluster runs."""

import asyncio
import dataclasses
import importlib.util
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of Ray's own use of others
    pytest.importorskip("ray.serve", reason="needs the extra: pip install 'splitquant[ray]'")

from hosted_plans import hosted_plan, hosted_samples

from planner.hosts.deploy_ray import deploy_ray
from planner.hosts.on_host.host_manifest import HostManifestError

X = hosted_samples(1)[0]["x"]


@pytest.fixture
def app(tmp_path) -> Path:
    deploy_ray(hosted_plan(tmp_path / "plan"), tmp_path / "app")
    return tmp_path / "app"


@pytest.fixture
def module(app) -> ModuleType:
    spec = importlib.util.spec_from_file_location("application", app / "application.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture
def placed(module, app):
    return module.read_application(app).stages


def test_a_stage_reads_what_it_needs_of_all_that_it_is_given(module, placed):
    first, second = module.Stage(placed[0]), module.Stage(placed[1])
    given = asyncio.run(first.run({"x": X}))
    outputs = asyncio.run(second.run({"x": X, "more": X}, given))
    assert {name: array.dtype for name, array in outputs.items()} == {"b": np.float32, "z": np.float32}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "'x' is no array"),
        ({"x": X[0]}, "instead of 'x'"),
        ({"x": X.astype(np.float64)}, "instead of 'x'"),
        ({"x": np.full_like(X, np.nan)}, "'x' holds NaN"),
    ],
)
def test_a_stage_refuses_what_it_cannot_run_on(module, placed, given, why):
    with pytest.raises(module.StageError, match=f"00-camera failed: .*{why}"):
        asyncio.run(module.Stage(placed[0]).run(given))


def test_a_node_whose_stage_is_another_file_refuses_it(module, placed, app):
    path = app / "stages" / "00-camera.onnx"
    path.write_bytes((app / "stages" / "02-camera.onnx").read_bytes())
    with pytest.raises(HostManifestError, match="not the file that was deployed"):
        module.Stage(placed[0])
    path.unlink()
    with pytest.raises(HostManifestError, match="copy the folder again"):
        module.Stage(placed[0])


def test_a_node_with_another_version_of_the_runtime_refuses_it(module, placed):
    other = dataclasses.replace(placed[0], runtime=dataclasses.replace(placed[0].runtime, version="1.0.0"))
    with pytest.raises(HostManifestError, match="planned was 1.0.0"):
        module.Stage(other)


@pytest.mark.parametrize("args", [{}, {"deployment": "0" * 32}])
def test_the_application_of_another_deployment_is_refused(module, args):
    with pytest.raises(HostManifestError, match="shut Serve down"):
        module.build(args)


def test_each_deployment_asks_for_its_device_and_its_share_of_the_threads(module, app):
    application = module.build({"deployment": module.read_application(app).deployment})
    ingress = application._bound_deployment
    assert ingress.ray_actor_options == {"num_cpus": 0, "resources": {"device:camera": 0.001}}
    manifest, *stages = ingress.init_args
    assert [one.deployment for one in manifest.stages] == [one._bound_deployment.name for one in stages]
    options = [one._bound_deployment.ray_actor_options for one in stages]
    assert [(one["num_cpus"], *one["resources"]) for one in options] == [
        (0.5, "device:camera"),
        (1.0, "device:server"),
        (0.5, "device:camera"),
    ]
