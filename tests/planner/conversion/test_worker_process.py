"""The process with TensorFlow, as seen from outside: what it is given, and how its end is told.

What it does with TensorFlow is in test_end_to_end.py. Here Python starts other code in its place.
"""

import logging
import os
from pathlib import Path

import pytest

from planner.conversion import worker_process
from planner.conversion.request import (
    ANSWERS,
    CONVERSION,
    FAILURE,
    ORDER,
    ConversionRequest,
    OnnxForm,
    SourceKind,
    read_request,
)
from planner.conversion.worker_process import run_worker
from profiling.errors import ModelError

NET = ConversionRequest(kind=SourceKind.KERAS, target="/some/net.keras", form=OnnxForm(opset=17))
OBJECT = ConversionRequest(kind=SourceKind.OBJECT, target="/some/where/nets:build", form=OnnxForm(opset=17))
CUSTOM = ConversionRequest(
    kind=SourceKind.KERAS, target="/some/net.h5", form=OnnxForm(opset=17), custom_objects="/w/parts:ALL"
)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a module of some lines as the worker, in a folder; return the folder."""
    code = tmp_path / "code"
    code.mkdir()
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(code))
    monkeypatch.setattr(worker_process, "_WORKER", "stand_in")

    def call(*lines: str, request: ConversionRequest = NET, command: str = "convert") -> Path:
        text = ("import os, signal, sys", "from pathlib import Path", "folder = Path(sys.argv[2])", *lines)
        (code / "stand_in.py").write_text("\n".join(text))
        run_worker(command, request, folder)
        return folder

    return call


WRITES = f"(folder / '{CONVERSION}').write_text('{{}}')"


@pytest.mark.parametrize(("command", "file"), [("convert", CONVERSION), ("answer", ANSWERS)])
def test_a_process_that_writes_what_it_is_asked_for_has_done_its_work(run, command, file):
    folder = run(f"(folder / '{file}').write_text(sys.argv[1])", request=OBJECT, command=command)
    assert (folder / file).read_text() == command
    assert read_request(folder) == OBJECT
    assert (folder / ORDER).is_file()


def test_the_process_is_quiet_needs_no_terminal_and_takes_no_modules_of_its_folder(
    run, tmp_path, monkeypatch
):
    here = tmp_path / "here"
    here.mkdir()
    (here / "json.py").write_text("raise SystemExit('taken for a module')")
    monkeypatch.chdir(here)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setenv("A_SETTING", "of the user")
    folder = run(
        "import json, planner.conversion",
        "print('noise')",
        "told = [sys.stdin.read(), os.environ['CUDA_VISIBLE_DEVICES'], os.environ['A_SETTING'], os.name]",
        f"(folder / '{CONVERSION}').write_text(json.dumps(told))",
    )
    assert f'["", "", "of the user", "{os.name}"]' == (folder / CONVERSION).read_text()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"


@pytest.mark.parametrize(
    ("lines", "request_of", "message"),
    [
        (
            ("(folder / FAILURE).write_text('model: no such layer: λ', encoding='utf-8'); sys.exit(1)",),
            NET,
            "model: no such layer: λ",
        ),
        (
            ("print('first'); print('the last line  \\n'); sys.exit(3)",),
            NET,
            "model: TensorFlow's process failed: the last line",
        ),
        (
            ("sys.stderr.write('ImportError: no lib\\n'); sys.exit(1)",),
            NET,
            "model: TensorFlow's process failed: ImportError: no lib",
        ),
        (("sys.exit(3)",), NET, "model: TensorFlow's process failed: exit code 3"),
        (
            ("os.write(1, b'\\xff\\xfe bytes'); sys.exit(3)",),
            NET,
            "model: TensorFlow's process failed: \ufffd\ufffd bytes",
        ),
        (("pass",), NET, "model: TensorFlow's process failed: exit code 0"),
        (
            ("os.kill(os.getpid(), signal.SIGKILL)",),
            NET,
            "model: TensorFlow ended with SIGKILL over /some/net.keras: memory may have run out",
        ),
        (
            ("os.kill(os.getpid(), signal.SIGSEGV)",),
            OBJECT,
            "model: TensorFlow ended with SIGSEGV over nets:build: the file may be damaged",
        ),
        (("os._exit(0)",), OBJECT, "model: nets:build ended the process that ran it, with exit code 0"),
        (
            ("sys.stderr.write('ImportError: no lib\\n'); sys.exit(1)",),
            OBJECT,
            "model: nets:build ended the process that ran it, with exit code 1: ImportError: no lib",
        ),
        (("os._exit(9)",), CUSTOM, "model: parts:ALL ended the process that ran it, with exit code 9"),
    ],
)
def test_how_it_failed_is_told_in_one_line(run, lines, request_of, message):
    with pytest.raises(ModelError) as told:
        run(f"FAILURE = '{FAILURE}'", *lines, request=request_of)
    assert str(told.value) == message


def test_an_answer_without_a_good_end_counts_for_nothing(run):
    with pytest.raises(ModelError, match="exit code 4"):
        run(WRITES, "sys.exit(4)")


def test_what_it_printed_last_is_in_the_log(run, caplog):
    caplog.set_level(logging.INFO, worker_process.log.name)
    with pytest.raises(ModelError):
        run("for n in range(100): print('line', n)", "sys.exit(1)")
    said = [record.message for record in caplog.records if " said: " in record.message]
    assert [line.rpartition(" said: ")[2] for line in said] == [f"line {n}" for n in range(70, 100)]


def test_an_interrupt_ends_the_process(run, monkeypatch):
    started = []
    popen = worker_process.subprocess.Popen

    class Interrupted(popen):
        """A process whose first wait is interrupted."""

        def wait(self, timeout=None):
            if not started:
                started.append(self)
                raise KeyboardInterrupt
            return super().wait(timeout)

    monkeypatch.setattr(worker_process.subprocess, "Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        run("import time", "time.sleep(600)")
    assert started[0].poll() is not None
