"""The models of a bundle for LiteRT are those that are timed here, to the byte."""

import json
import shutil

import pytest

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
pytest.importorskip("litert_quantizer", reason="the extra litert is not installed")
import numpy as np
import tflite_models
from hypothesis import given, settings
from hypothesis import strategies as st
from repository import ROOT

from profiling.latency.measure_latency import Setup
from profiling.latency.write_bundle import BUNDLE_FILES
from profiling.litert.calibration import calibrate_litert
from profiling.litert.flatbuffer import weight_places
from profiling.litert.latency.litert_latency import (
    litert_measurement_plan,
    measure_litert_latency,
    variant_models,
)
from profiling.litert.latency.litert_variants import InMemory
from profiling.litert.latency.time_in_place import group_stages
from profiling.litert.latency.write_litert_bundle import PieceWriter, write_litert_bundle
from profiling.litert.load import load_litert, parse_litert
from profiling.litert.unit_graph import build_litert_graph
from profiling.on_device.device_main import main, read_feeds, read_measurement_plan
from profiling.on_device.litert.litert_bundle import (
    INDEX,
    PIECES,
    LitertBundleModels,
    before_model,
    group_model,
    plain_model,
    read_index,
    stage_model,
)
from profiling.on_device.litert.model_pieces import ModelPieces
from profiling.precision import Precision
from profiling.records.profile import load_profile
from profiling.runtime.open_session import Runtime

SETUP = Setup(Runtime(), 3, (Precision.FP32, Precision.INT8))


class Bundle:
    """A model, and the bundle that was written of it."""

    def __init__(self, model, folder):
        self.folder = folder
        self.graph = build_litert_graph(model)
        self.samples = [tflite_models.feeds(model, seed) for seed in range(2)]
        self.ranges = calibrate_litert(model, self.samples)
        self.models = variant_models(self.graph, self.ranges, SETUP)
        self.plan = litert_measurement_plan(self.graph, "scheme", SETUP, "board")
        write_litert_bundle(self.models, self.samples[0], self.plan, folder)
        self.pieces = ModelPieces(folder / PIECES, read_index(folder).places)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    content = tflite_models.branching().content()
    return Bundle(parse_litert(content, "m"), tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    model = load_litert(ROOT / "scenarios" / "litert" / "digits.tflite")
    return Bundle(model, tmp_path_factory.mktemp("digits"))


@pytest.fixture(params=["bundle", "digits"])
def either(request):
    return request.getfixturevalue(request.param)


def test_nothing_lies_in_a_bundle_that_is_not_listed(bundle):
    assert {path.name for path in bundle.folder.iterdir()} <= BUNDLE_FILES


def test_its_plan_and_its_sample_are_the_ones_given(bundle):
    assert read_measurement_plan(bundle.folder) == bundle.plan
    feeds = read_feeds(bundle.folder)
    assert feeds.keys() == bundle.samples[0].keys()
    assert all(np.array_equal(feeds[name], value) for name, value in bundle.samples[0].items())


def test_its_models_are_those_that_are_timed_here_to_the_byte(either):
    plan, models, pieces = either.plan, either.models, either.pieces
    expected = {"tiny"}
    for variant in range(len(plan.variants)):
        assert pieces.read(plain_model(variant)) == models.whole(variant).content
        expected.add(plain_model(variant))
        owned = models.groups(variant, plan.switches)
        for number, (ending_with, before) in enumerate(group_stages(owned.groups)):
            assert pieces.read(group_model(variant, number)) == ending_with.content
            expected.add(group_model(variant, number))
            if before is not None:
                assert pieces.read(before_model(variant, number)) == before.content
                expected.add(before_model(variant, number))
    for variant in range(len(plan.precisions) if plan.stages else 0):
        for number, stage in enumerate(models.stages(variant, plan.stages)):
            assert pieces.read(stage_model(variant, number)) == stage.content
            expected.add(stage_model(variant, number))
    assert read_index(either.folder).places.keys() == expected


def test_there_and_here_the_same_groups_work_for_the_same_owners(either):
    plan, feeds = either.plan, either.samples[0]
    here = InMemory(either.models, plan.switches, plan.stages, plan.threads)
    there = LitertBundleModels(either.folder, plan)
    for variant in range(len(plan.variants)):
        own, theirs = list(here.groups(variant, feeds)), list(there.groups(variant, feeds))
        assert [owner for owner, _ in own] == [owner for owner, _ in theirs]
        assert [c.before_group is None for _, c in own] == [c.before_group is None for _, c in theirs]
        for _, calls in theirs:
            calls.with_group()


def test_each_weight_lies_in_a_bundle_once(digits):
    content = (digits.folder / PIECES).read_bytes()
    weights = set()
    for variant in range(len(digits.plan.variants)):
        whole = digits.models.whole(variant).content
        weights |= {whole[at : at + size] for at, size in weight_places(whole) if size >= 1024}
    assert len(weights) > 6  # of both precisions
    assert {content.count(weight) for weight in weights} == {1}


@settings(deadline=None, max_examples=25)
@given(st.lists(st.binary(max_size=40), max_size=4))
def test_any_bytes_come_back_from_pieces(tmp_path_factory, contents):
    folder = tmp_path_factory.mktemp("pieces")
    real = tflite_models.branching().content()
    models = {str(number): real + content for number, content in enumerate(contents)} | {"real": real}
    with PieceWriter(folder / "pieces.bin") as pieces:
        for name, content in models.items():
            pieces.add(name, content)
    found = ModelPieces(folder / "pieces.bin", pieces.places)
    assert {name: found.read(name) for name in pieces.places} == models
    assert "nobody" not in found


def test_a_file_that_was_cut_off_is_told(bundle, tmp_path):
    short = tmp_path / "pieces.bin"
    short.write_bytes((bundle.folder / PIECES).read_bytes()[:-1])
    pieces = ModelPieces(short, read_index(bundle.folder).places)
    places = read_index(bundle.folder).places
    last = max(places, key=lambda name: max(sum(place) for place in places[name]))
    with pytest.raises(EOFError, match="is not whole: copy the bundle again"):
        pieces.read(last)


def test_a_device_writes_the_record_that_is_made_here_but_for_its_seconds(either, tmp_path, capsys):
    main(either.folder, [str(tmp_path / "p.json")])
    there = load_profile(tmp_path / "p.json")
    here = measure_litert_latency(either.graph, "scheme", either.ranges, either.samples[0], SETUP)
    assert (there.device, there.noise) == ("board", ())
    for field in ("model_sha256", "runtime_version", "scheme", "processor", "threads", "provider", "clock"):
        assert getattr(there.latency, field) == getattr(here, field)
    assert there.latency.runtime == "litert"
    assert [(r.unit, r.precision) for r in there.latency.units] == [(r.unit, r.precision) for r in here.units]
    assert [(r.tensor, r.source, r.to, r.measured) for r in there.latency.switches] == [
        (r.tensor, r.source, r.to, r.measured) for r in here.switches
    ]
    assert [(r.tensor, r.form) for r in there.latency.seams] == [(r.tensor, r.form) for r in here.seams]
    assert there.latency.samples in range(3, 19, 3)  # sessions of three rounds: those on a core of their own
    for precision, wall_s in there.latency.wall_s.items():
        units = sum(r.seconds for r in there.latency.units if r.precision == precision)
        assert 0 < units <= wall_s * (1 + 1e-9)
    assert f"timing: {len(either.plan.variants)} of {len(either.plan.variants)}" in capsys.readouterr().err


@pytest.mark.parametrize("variant", range(2))
def test_a_model_that_the_runtime_refuses_is_told_with_the_version_that_takes_it(
    bundle, tmp_path, variant, monkeypatch
):
    folder = tmp_path / "b"
    shutil.copytree(bundle.folder, folder)
    made_with, places, groups = json.loads((folder / INDEX).read_text())
    places[plain_model(variant)] = [[(folder / PIECES).stat().st_size, 40]]
    with (folder / PIECES).open("ab") as pieces:
        pieces.write(bytes(40))
    (folder / INDEX).write_text(json.dumps([made_with, places, groups]))
    monkeypatch.chdir(tmp_path)
    told = rf"^{made_with} cannot measure the models: .*; {made_with} can: install that version$"
    with pytest.raises(SystemExit, match=told):
        main(folder, [])
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
