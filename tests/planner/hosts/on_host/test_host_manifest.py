"""What a host reads from its folder, and what it refuses to serve."""

import copy
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hosted_plans import DEVICES, hosted_plan

from planner.hosts.deploy import deploy
from planner.hosts.on_host.host_manifest import MANIFEST, HostManifestError, read_host_manifest


@pytest.fixture(scope="module")
def deployment(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("manifest")
    plan = hosted_plan(folder / "plan")
    deploy(plan, folder / "out", {})
    return folder / "out"


@pytest.fixture
def server(deployment, tmp_path) -> Path:
    """A copy of one host's folder, to be damaged."""
    shutil.copytree(deployment / "server", tmp_path / "server")
    return tmp_path / "server"


def content(folder: Path) -> dict:
    return json.loads((folder / MANIFEST).read_text())


def places(value: object, way: tuple = ()) -> Iterator[tuple]:
    """Yield the way to every value in a JSON document."""
    yield way
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*way, key))


def test_every_host_of_a_deployment_can_be_read(deployment):
    read = {device: read_host_manifest(deployment / device) for device in DEVICES}
    assert len({manifest.deployment for manifest in read.values()}) == 1
    assert [device for device in DEVICES if read[device].is_source] == ["camera"]
    for device, manifest in read.items():
        assert manifest.device == device
        assert manifest.source == "camera"
        assert set(manifest.next_hop.values()) <= set(manifest.neighbours)
        assert (manifest.runtime is None) == (device == "gateway")
        for plan in manifest.plans:
            assert all(name == tensor.spec.name for name, tensor in plan.tensors.items())
            numbers = {stage.number for stage in plan.stages}
            assert all(set(tensor.stages) <= numbers for tensor in plan.tensors.values())


def test_a_file_that_was_changed_cut_short_or_lost_is_told_by_name(server):
    (stage,) = server.glob("stages/*.onnx")
    whole = stage.read_bytes()
    for changed in (whole + b"\0", whole[:-1], b""):
        stage.write_bytes(changed)
        with pytest.raises(HostManifestError, match=rf"{stage.name}: is not the file that was deployed"):
            read_host_manifest(server)
    stage.unlink()
    with pytest.raises(HostManifestError, match=rf"{stage.name}: No such file"):
        read_host_manifest(server)
    stage.mkdir()
    with pytest.raises(HostManifestError, match=rf"{stage.name}: Is a directory"):
        read_host_manifest(server)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read; deploy again"),
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("[]", "format None, and this serves 1"),
        ("{}", "format None"),
        ('{"format": 2}', "format 2, and this serves 1; deploy again"),
        ('{"format": 1}', r"is damaged \(KeyError"),
    ],
)
def test_what_is_no_manifest_of_this_format_is_refused(server, text, message):
    (server / MANIFEST).write_text(text)
    with pytest.raises(HostManifestError, match=rf"host\.json: {message}"):
        read_host_manifest(server)


def test_bytes_that_are_no_text_and_a_folder_without_a_manifest_are_refused(server):
    (server / MANIFEST).write_bytes(b"\xff\xfe")
    with pytest.raises(HostManifestError, match="cannot be read"):
        read_host_manifest(server)
    (server / MANIFEST).unlink()
    with pytest.raises(HostManifestError, match="cannot be read"):
        read_host_manifest(server)


@pytest.mark.parametrize("value", [None, 5, "text", "a\0b", [], {}, [None], True])
def test_a_value_of_any_type_at_any_place_is_read_or_refused_and_nothing_breaks(server, value):
    good = content(server)
    refused = 0
    for way in places(good):
        changed = copy.deepcopy(good)
        part = changed
        for key in way[:-1]:
            part = part[key]
        if way:
            part[way[-1]] = value
        (server / MANIFEST).write_text(json.dumps(changed if way else value))
        try:
            read_host_manifest(server)
        except HostManifestError:
            refused += 1
    assert refused


def test_a_value_that_is_missing_is_told(server):
    good = content(server)
    for way in places(good):
        if not way or isinstance(way[-1], int) or way[0] == "next_hop":
            continue
        changed = copy.deepcopy(good)
        part = changed
        for key in way[:-1]:
            part = part[key]
        del part[way[-1]]
        (server / MANIFEST).write_text(json.dumps(changed))
        with pytest.raises(HostManifestError, match=r"host\.json: "):
            read_host_manifest(server)
