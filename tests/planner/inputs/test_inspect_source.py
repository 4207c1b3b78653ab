import importlib.util
import sys

import pytest

from planner.cli.commands import main


def refusal(capsys, *arguments):
    with pytest.raises(SystemExit) as done:
        main(["inspect", *map(str, arguments)])
    return done.value.code, capsys.readouterr().err.strip()


@pytest.fixture
def damaged(tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(b"\x18\0\0\0TFL3\0\0")
    return path


def test_without_the_extra_it_says_what_to_install(damaged, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.startswith("profiling.litert.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    code, said = refusal(capsys, damaged, "--runtime", "litert")
    assert code == 1
    assert said == "model: needs ai_edge_litert, which is not installed: pip install 'splitquant[litert]'"


def test_other_files_and_settings_are_refused(tmp_path, damaged, capsys):
    if importlib.util.find_spec("ai_edge_litert") is None:
        pytest.skip("the extra litert is not installed")
    for arguments, code, text in (
        ([tmp_path / "net.onnx"], 1, "runtime litert takes models of Keras, TensorFlow and TFLite"),
        ([tmp_path / "scenario.yaml"], 2, "--runtime litert takes a model, no scenario"),
        ([damaged, "--conversion", "opset=13"], 1, "conversion.opset: "),
        ([damaged, "--conversion", "quantization=half"], 1, "--conversion quantization "),
    ):
        found, said = refusal(capsys, *arguments, "--runtime", "litert")
        assert (found, len(said.splitlines())) == (code, 1)
        assert text in said


def test_a_damaged_file_is_one_line(damaged, capsys):
    if importlib.util.find_spec("ai_edge_litert") is None:
        pytest.skip("the extra litert is not installed")
    code, said = refusal(capsys, damaged, "--runtime", "litert")
    assert (code, len(said.splitlines())) == (1, 1)
    assert "damaged or truncated" in said
