"""The user's code may print, raise and return what it likes: it costs one line that names it."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from planner import user_objects as user_code
from planner.errors import DataError
from planner.inputs.dataset import Input
from planner.inputs.load_samples import load_data
from planner.scenario.data_schema import SampleSpec
from planner.user_objects import import_object, load_metric

X = Input("x", "float32", (1, 2))


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Return a function that writes a module and names an object of it."""
    modules = iter(f"own{number}_{os.getpid()}_{tmp_path.name}".replace("-", "_") for number in range(9))

    def write(text: str, name: str) -> str:
        module = next(modules)
        (tmp_path / f"{module}.py").write_text(text)
        return f"{tmp_path}/{module}:{name}"

    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return write


RAISED = {
    "raise ValueError('a\\nb\\x1b[31m')": r"failed: ValueError: a\\nb\\x1b\[31m$",
    "raise KeyboardInterrupt": "failed: KeyboardInterrupt$",
    "raise GeneratorExit": "failed: GeneratorExit$",
    "import sys; sys.exit(0)": "failed: SystemExit: 0$",
    "class E(BaseException):\n  def __str__(self): raise self\n raise E": "failed: E$",
}


@pytest.mark.parametrize("text", RAISED)
def test_whatever_a_metric_raises_is_told_in_one_line(text, own):
    metric = load_metric(own(f"def f(*_):\n {text}\n", "f"))
    with pytest.raises(DataError, match=RAISED[text]):
        metric({}, None)


@pytest.mark.parametrize("value", ["None", "'3'", "b'3'", "[]", "1j", "float('nan')", "10**400", "object()"])
def test_a_metric_that_gives_no_finite_number_is_refused(value, own):
    with pytest.raises(DataError, match="f .*must give a finite number"):
        load_metric(own(f"def f(*_): return {value}\n", "f"))({}, None)


def test_what_user_code_prints_goes_to_stderr(own, capfd):
    text = (
        "import os\nprint('imported')\n"
        "def f(*_):\n print('python')\n os.system('echo child')\n os.write(1, b'native\\n')\n return 1.0\n"
    )
    assert load_metric(own(text, "f"))({}, None) == 1
    os.write(1, b"ours\n")
    out, err = capfd.readouterr()
    assert out == "ours\n"
    assert sorted(err.split()) == ["child", "imported", "native", "python"]


def test_a_module_that_ends_the_process_while_it_is_imported_is_refused(own):
    with pytest.raises(DataError, match=r"metric: .*:f cannot be used: KeyboardInterrupt"):
        import_object(own("raise KeyboardInterrupt\n", "f"), "metric")


def read(target: str):
    return load_data(SampleSpec(reader=target), [X], "d")


def reader(labels: str) -> str:
    return (
        "import numpy as np\n"
        "class R:\n n = 0\n def get_next(self):\n  self.n += 1\n"
        "  return {'x': np.ones((1, 2), 'f')} if self.n < 4 else None\n"
        f" @property\n def labels(self): return {labels}\n"
    )


LABELS = {
    "1 / 0": "its labels cannot be read: ZeroDivisionError",
    "[2**70, 0, 0]": "a label does not fit into 64 bits",
    "iter(int, 1)": "gives 3 samples but more labels",
    "3": "labels must be a list, got int",
}


@pytest.mark.parametrize("labels", LABELS)
def test_odd_labels_of_a_reader_are_refused(labels, own):
    with pytest.raises(DataError, match=LABELS[labels]):
        read(own(reader(labels), "R"))


@pytest.mark.parametrize("feeds", ["3", "{}", "{'x': [[1], [1, 2]]}", "{'x': object()}", "{'x': 'a'}"])
def test_odd_samples_of_a_reader_are_refused(feeds, own):
    with pytest.raises(DataError, match=r"d.reader|d: sample 0"):
        read(own(f"class R:\n def get_next(self): return {feeds}\n", "R"))


def test_a_reader_without_end_is_stopped_by_the_memory_that_is_free(own, monkeypatch):
    monkeypatch.setattr("planner.inputs.reader_samples.available_bytes", lambda: 100)
    text = "import numpy as np\nclass R:\n def get_next(self): return {'x': np.ones((1, 2), 'f')}\n"
    with pytest.raises(DataError, match="gives more than 7 samples, which do not fit into half"):
        read(own(text, "R"))


def test_an_array_is_measured_by_its_header(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", x=np.zeros((100, 2), np.float32), unused=np.array([{}], object))
    spec = SampleSpec(npz=str(tmp_path / "a.npz"))
    assert len(load_data(spec, [X], "d").samples) == 100
    monkeypatch.setattr("planner.inputs.npz_archive.available_bytes", lambda: 1000)
    with pytest.raises(DataError, match="said to hold .* more than half of the free memory"):
        load_data(spec, [X], "d")


def test_labels_beyond_64_bits_are_refused(tmp_path: Path):
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 2), np.float32), y=np.full(2, 2**64 - 1, np.uint64))
    with pytest.raises(DataError, match="a label does not fit into 64 bits"):
        load_data(SampleSpec(npz=str(tmp_path / "a.npz"), labels="y"), [X], "d")


@pytest.mark.parametrize("text", ["while True: pass", "import time; time.sleep(60)"])
def test_a_metric_that_does_not_end_is_stopped(text, own, monkeypatch):
    monkeypatch.setattr(user_code, "LONGEST_S", 0.2)
    metric = load_metric(own(f"def f(*_):\n {text}\n", "f"))
    with pytest.raises(DataError, match="f failed: it does not end: stopped after 0.2 s"):
        metric({}, None)


def test_a_metric_that_asks_for_input_finds_none(own):
    metric = load_metric(own("def f(*_):\n input()\n", "f"))
    with pytest.raises(DataError, match="EOFError"):
        metric({}, None)
