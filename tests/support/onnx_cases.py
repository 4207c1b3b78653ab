"""The test models that come with the onnx package, through everything that happens to a model here."""

import faulthandler
import json
import os
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases

from planner.deployment.rebuild import rebuild
from planner.deployment.split import split
from planner.deployment.stage_tasks import Placement
from planner.verification.stage_chain import Chain, same_bits
from profiling.arrays import Feeds
from profiling.errors import ModelError, QuantizeError
from profiling.graph.unit_graph import ModelGraph, build_graph, with_refusals
from profiling.noise.unit_check import UnitCheck, refused_units
from profiling.on_device.create_session import Optimization
from profiling.onnx_io.load_model import load_model
from profiling.precision import Precision
from profiling.preparation.rewrite_steps import prepare_model
from profiling.quantization.calibration import Calibration, calibrate
from profiling.quantization.int8_overflow import this_cpu_overflows
from profiling.quantization.qdq_model import INT8, INT8_REDUCED
from profiling.runtime.crash_journal import CrashJournal
from profiling.runtime.open_session import Runtime, open_session, run_session

_MOST_CRASHES = 20
PASSED, REFUSED, DIFFERS, FAILED, NOT_RUN = "passed", "refused", "other numbers", "error", "does not run"


@dataclass(frozen=True, slots=True)
class Case:
    """A model with one sample that the runtime answers."""

    name: str
    model: onnx.ModelProto
    feeds: Feeds


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a case.

    Parameters
    ----------
    reason
        Of a refusal or an error.
    units, quantizable, tried_and_refused
        How many there are, can be quantized, and were found to come out wrong.
    """

    name: str
    result: str
    reason: str = ""
    units: int = 0
    quantizable: int = 0
    tried_and_refused: int = 0


def node_cases() -> Iterator[Case]:
    """Yield the package's test of each operator."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the arithmetic in what the tests expect
        cases = collect_testcases(None)
    for case in cases:
        inputs, _ = case.data_sets[0]
        names = [value.name for value in case.model.graph.input]
        yield Case(case.name, case.model, dict(zip(names, inputs, strict=False)))


def stored_cases() -> Iterator[Case]:
    """Yield the package's stored models of several operators, exported from PyTorch for the most part."""
    for path in sorted((Path(onnx.__file__).parent / "backend" / "test" / "data").glob("*/*/model.onnx")):
        model = onnx.load(path)
        inputs = [path.parent / "test_data_set_0" / f"input_{i}.pb" for i in range(len(model.graph.input))]
        constants = {init.name for init in model.graph.initializer}
        names = [value.name for value in model.graph.input if value.name not in constants]
        tensors = [onnx.TensorProto.FromString(file.read_bytes()) for file in inputs if file.is_file()]
        if path.parts[-3] != "node" and len(tensors) == len(names):
            feeds = dict(zip(names, map(numpy_helper.to_array, tensors), strict=True))
            yield Case(f"{path.parts[-3]}/{path.parts[-2]}", model, feeds)


def verdict_apart(case: Case) -> Verdict:
    """Return what `verdict_of` does, in processes of its own: another one goes on where one crashes."""
    with TemporaryDirectory() as folder:
        kept = Path(folder) / "verdict.json"
        for _ in range(_MOST_CRASHES):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on threads
                child = os.fork()
            if not child:
                faulthandler.disable()  # a crash is an outcome here
                kept.write_text(json.dumps(asdict(verdict_of(case, Path(folder)))))
                os._exit(0)
            _, status = os.waitpid(child, 0)
            if kept.is_file():
                return Verdict(**json.loads(kept.read_text()))
        return Verdict(case.name, FAILED, f"crashed {_MOST_CRASHES} times, with status {status}")


def verdict_of(case: Case, folder: Path) -> Verdict:
    """Return what becomes of a case that is loaded, prepared, quantized unit by unit and cut everywhere."""
    if not _runs(case):
        return Verdict(case.name, NOT_RUN)
    path = folder / "m.onnx"
    onnx.save(case.model, path)
    try:
        source = load_model(path, {})
        graph = build_graph(prepare_model(source, [case.feeds]))
    except ModelError as exc:
        return Verdict(case.name, REFUSED, " ".join(str(exc).replace(str(path), "MODEL").split()))
    try:
        return _tried(case, source, graph, folder)
    except Exception as exc:  # noqa: BLE001  whatever it is, it is what is looked for
        return Verdict(case.name, FAILED, " ".join(f"{type(exc).__name__}: {exc}".split()))


def _runs(case: Case) -> bool:
    try:
        run_session(open_session(case.model, Runtime()), case.feeds)
    except Exception:  # noqa: BLE001  the runtime's exceptions share no base class
        return False
    return True


def _tried(case: Case, source: onnx.ModelProto, graph: ModelGraph, folder: Path) -> Verdict:
    want = run_session(open_session(source, Runtime(), Optimization.BASIC), case.feeds)
    got = run_session(open_session(graph.model, Runtime(), Optimization.BASIC), case.feeds)
    if not _agree(got, want):
        return Verdict(case.name, DIFFERS, "prepared")
    calibration = Calibration(INT8_REDUCED if this_cpu_overflows(Runtime()) else INT8, folder / "ranges.json")
    calibrate(graph.model, graph.quantizable_nodes, [case.feeds], calibration.ranges)
    journal = CrashJournal(folder / "j.journal")
    reasons = refused_units(UnitCheck(graph, calibration, [case.feeds], Optimization.DEFAULT, journal))
    graph = with_refusals(graph, {Precision.INT8: reasons})
    able = [unit.index for unit in graph.units if unit.quantizable]
    for chosen in ([], *([index] for index in able), able):
        settled = list(graph.resolve_precisions(dict.fromkeys(chosen, Precision.INT8)))
        try:
            mixed = rebuild(graph, calibration.of(settled), calibration.ranges)
        except QuantizeError as exc:
            return Verdict(case.name, FAILED, str(exc))
        fault = _cut_everywhere(case, graph, mixed)
        if fault:
            return Verdict(case.name, DIFFERS, fault)
    return Verdict(case.name, PASSED, "", len(graph.units), len(able), len(reasons))


def _cut_everywhere(case: Case, graph: ModelGraph, mixed: onnx.ModelProto) -> str:
    """Return what is wrong with a chain of two stages, cut in each place; empty if nothing is."""
    whole = run_session(open_session(mixed, Runtime(), Optimization.BASIC), case.feeds)
    count = len(graph.units)
    for cut in range(count + 1):
        placement = Placement(("a",) * cut + ("b",) * (count - cut), "a", "a")
        stages = [stage.model for stage in split(mixed, graph, placement)]
        got = Chain(stages, Runtime(), Optimization.BASIC).run(case.feeds, graph.outputs)
        if not same_bits(got, whole):
            return f"cut before unit {cut} of {count}"
    return ""


def _agree(got: dict[str, np.ndarray], want: dict[str, np.ndarray]) -> bool:
    return all(
        got[name].dtype == want[name].dtype
        and np.allclose(got[name], want[name], rtol=1e-3, atol=1e-5, equal_nan=True)
        for name in want
    )
