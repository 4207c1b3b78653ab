import json
from pathlib import Path

import pytest

from profiling.latency.measure_latency import Setup, measurement_plan, variants_of
from profiling.latency.write_bundle import write_bundle
from profiling.on_device.device_main import ORDER, main, read_feeds, read_measurement_plan
from profiling.on_device.measurement_order import FORMAT
from profiling.on_device.onnx_runtime_bundle import BundleSessions
from profiling.records.profile import load_profile
from profiling.runtime.open_session import Runtime


@pytest.fixture(scope="module")
def bundle(residual, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    setup = Setup(Runtime(), 2)
    plan = measurement_plan(residual.graph, residual.calibration, setup, "board")
    write_bundle(variants_of(residual.graph, residual.calibration, setup), residual.samples[0], plan, folder)
    return folder


def test_a_profile_is_written_whole_where_it_was_asked_for(bundle, tmp_path, capsys):
    main(bundle, [str(tmp_path / "p.json")])
    assert [path.name for path in tmp_path.iterdir()] == ["p.json"]
    profile = load_profile(tmp_path / "p.json")
    assert (profile.format, profile.device, profile.latency.samples) == (FORMAT, "board", 2)
    out, err = capsys.readouterr()
    assert "name it as `profile` of device board" in out
    assert "timing: 1 of 6" in err


def test_by_default_it_is_named_after_the_device(bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main(bundle, [])
    assert [path.name for path in tmp_path.iterdir()] == ["board.profile.json"]


def test_rounds_and_threads_of_a_run_may_be_others_than_the_bundle_was_written_for(bundle, tmp_path):
    main(bundle, [str(tmp_path / "p.json"), "--rounds", "3", "--threads", "2"])
    latency = load_profile(tmp_path / "p.json").latency
    assert (latency.samples, latency.threads) == (3, 2)


@pytest.mark.parametrize("option", ["--rounds", "--threads"])
@pytest.mark.parametrize("value", ["-1", "10001", "2.5", "x", "1e2", "\u00b2"])
def test_a_count_of_rounds_or_threads_that_is_none_is_refused(bundle, tmp_path, capsys, option, value):
    with pytest.raises(SystemExit) as ended:
        main(bundle, [str(tmp_path / "p.json"), f"{option}={value}"])
    assert ended.value.code == 2
    assert f"{option}: {value} is no whole number" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_every_model_of_the_plan_can_be_opened(bundle, residual, tmp_path):
    plan = read_measurement_plan(bundle)
    sessions = BundleSessions(bundle, plan)
    feeds = read_feeds(bundle)
    assert {name: value.tolist() for name, value in feeds.items()} == {
        name: value.tolist() for name, value in residual.samples[0].items()
    }
    for variant in range(len(plan.variants)):
        tagged = sessions.traced(variant, tmp_path / "run", tmp_path / "optimized.onnx")
        plain = sessions.plain(variant)
        assert all(
            (a == b).all() for a, b in zip(plain.run(None, feeds), tagged.run(None, feeds), strict=True)
        )
        Path(tagged.end_profiling()).unlink()
    for number in range(len(plan.wires)):
        assert sessions.wire(number).get_inputs()
    for number in range(len(plan.stages)):
        assert sessions.stage(0, number).get_outputs()
    assert sessions.overflow_probe().get_inputs()


def test_a_provider_that_the_device_lacks_is_told(bundle, tmp_path):
    content = json.loads((bundle / ORDER).read_text()) | {"provider": "NpuExecutionProvider"}
    (tmp_path / ORDER).write_text(json.dumps(content))
    with pytest.raises(SystemExit, match="has no NpuExecutionProvider; it has .*CPUExecutionProvider"):
        main(tmp_path, [])


def test_a_bundle_that_lacks_a_file_is_told(bundle, tmp_path):
    (tmp_path / ORDER).write_text((bundle / ORDER).read_text())
    with pytest.raises(SystemExit, match="cannot measure the models: .*feeds.npz"):
        main(tmp_path, [str(tmp_path / "p.json")])
    assert not (tmp_path / "p.json").exists()
