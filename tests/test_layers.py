"""Which module may import which: low to high, and some libraries through one door only."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# A module may import modules of its own line's left side and of lines above.
LAYERS = [
    {
        "profiling.errors",
        "profiling.precision",
        "profiling.progress",
        "profiling.quiet",
        "profiling.input_files",
        "profiling.memory",
        "profiling.shown",
    },
    {"profiling.folders"},
    {"profiling.weights", "profiling.onboard"},
    {"profiling.session", "profiling.scopes"},
    {"profiling.names"},
    {"profiling.hidden_shapes"},
    {"profiling.model"},
    {
        "profiling.observed_shapes",
        "profiling.equivalence",
        "profiling.opset_upgrade",
        "profiling.gemm_constants",
        "profiling.resize_axes",
        "profiling.memory_need",
    },
    {
        "profiling.ranges",
        "profiling.fold",
        "profiling.guard",
        "profiling.widen",
        "profiling.channels",
        "profiling.saturation",
        "profiling.profile",
    },
    {"profiling.wires"},
    {"profiling.quantize"},
    {"profiling.fusion", "profiling.cache", "profiling.rounding", "profiling.crash_journal"},
    {"profiling.given_quantization", "profiling.fixed_shapes"},
    {"profiling.prepare", "profiling.obstacles", "profiling.layout"},
    {"profiling.graph"},
    {"profiling.extract", "profiling.tags", "profiling.taps", "profiling.work"},
    {"profiling.noise", "profiling.cuts", "profiling.unit_trial"},
    {"profiling.refine", "profiling.diff"},
    {"profiling.latency", "profiling.inspection"},
    {"profiling.bundle", "profiling.compression"},
    {"planner.errors", "planner.faults", "planner.tables", "planner.envelope", "planner.workers"},
    {"planner.signals", "planner.yaml_text", "planner.archives"},
    {"planner.standard_output"},
    {"planner.traces", "planner.spec_parts"},
    {"planner.plan_set", "planner.sample_spec"},
    {
        "planner.problem",
        "planner.peak",
        "planner.scenario",
        "planner.routes",
        "planner.plan",
        "planner.user_code",
        "planner.replace",
    },
    {"planner.conversion.order", "planner.conversion.wording", "planner.conversion.layer_names"},
    {
        "planner.conversion.grid",
        "planner.conversion.clips",
        "planner.conversion.reshapes",
        "planner.conversion.mended",
        "planner.conversion.missing_operators",
        "planner.conversion.wide_integers",
        "planner.conversion.plain_tflite",
    },
    {"planner.conversion.traced", "planner.conversion.keras_files", "planner.conversion.tflite"},
    {"planner.conversion.freeze"},
    {"planner.conversion.keras_trace", "planner.conversion.export"},
    {"planner.conversion.random_weights"},
    {"planner.conversion.applications"},
    {"planner.conversion.functions"},
    {"planner.conversion.worker"},
    {"planner.model_source", "planner.tensorflow_process"},
    {"planner.convert"},
    {"planner.picture_axes"},
    {"planner.check_conversion"},
    {"planner.partial_scenario", "planner.missing_files", "planner.file_kind"},
    {"planner.pictures", "planner.solvers", "planner.problem_spec", "planner.check_scenario"},
    {"planner.problem_names"},
    {"planner.problem_file"},
    {
        "planner.evaluate",
        "planner.scenario_file",
        "planner.data",
        "planner.chain",
        "planner.metrics",
        "planner.sweep",
        "planner.comparison",
        "planner.symmetry",
        "planner.precedence",
        "planner.contract",
        "planner.prices",
        "planner.elimination",
        "planner.budgets",
    },
    {"planner.linear", "planner.relaxation", "planner.master", "planner.sample_size"},
    {"planner.rules", "planner.movement", "planner.quantities"},
    {"planner.program"},
    {"planner.bound", "planner.pipeline", "planner.windows"},
    {"planner.ilp", "planner.formulate", "planner.rebuild"},
    {"planner.predict", "planner.baselines", "planner.regardless", "planner.explain", "planner.pareto"},
    {"planner.law", "planner.wording", "planner.answer"},
    {
        "planner.split",
        "planner.tighten",
        "planner.verify",
        "planner.measure",
    },
    {"planner.schemes"},
    {"planner.compose", "planner.refused_units"},
    {"planner.metadata"},
    {"planner.loop"},
    {"planner.prepared"},
    {"planner.build", "planner.profiles"},
    {"planner.basis"},
    {"planner.canvas", "planner.told"},
    {"planner.picture", "planner.figures", "planner.page"},
    {"planner.plan_page", "planner.comparison_page"},
    {"planner.kept", "planner.points", "planner.compare_table", "planner.in_place", "planner.side_by_side"},
    {"planner.catalogue"},
    {"planner.ranges", "planner.beside", "planner.front", "planner.held", "planner.trials"},
    {"planner.compare"},
    {"planner.manifest", "planner.asked"},
    {"planner.comparison_folder"},
    {"planner.run"},
    {"planner.output"},
    {"planner.versions"},
    {"planner.run_input"},
    {"planner.report", "planner.answer_table", "planner.execute", "planner.inspect_source"},
    {"planner.cli"},
    {"planner.supervisor"},
    {"planner.entry"},
]
LEVEL = {module: level for level, modules in enumerate(LAYERS) for module in modules}
# They run in a process of their own, and nothing outside imports them.
CONVERSION = {
    f"planner.conversion.{name}"
    for name in (
        "applications", "export", "freeze", "functions", "keras_files", "keras_trace", "tflite", "traced",
        "mended", "missing_operators", "plain_tflite", "random_weights", "worker",
    )
}  # fmt: skip
DOORS = {
    "pulp": {
        "planner.linear",
        "planner.rules",
        "planner.movement",
        "planner.quantities",
        "planner.program",
        "planner.master",
        "planner.ilp",
        "planner.solvers",
    },
    "highspy": set(),
    "pydantic": {
        "planner.spec_parts",
        "planner.partial_scenario",
        "planner.sample_spec",
        "planner.scenario",
        "planner.check_scenario",
        "planner.problem_spec",
    },
    "ruamel": {"planner.scenario_file", "planner.yaml_text"},
    "onnxruntime.quantization": {"profiling.quantize"},
    "cyclopts": {"planner.cli"},
    "matplotlib": {
        "planner.canvas",
        "planner.picture",
        "planner.figures",
        "planner.plan_page",
        "planner.comparison_page",
    },
    "jinja2": {"planner.page"},
    **dict.fromkeys(("tensorflow", "keras", "tf_keras", "tf2onnx", "h5py"), CONVERSION),
}
PURE = {
    "planner.problem",
    "planner.plan",
    "planner.evaluate",
    "planner.routes",
    "planner.prices",
    "planner.symmetry",
    "planner.relaxation",
}
IMPURE = {"onnx", "onnxruntime", "pulp", "time", "pathlib", "os", "tempfile"}


def modules() -> dict[str, Path]:
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path
        for package in ("planner", "profiling")
        for path in (ROOT / package).rglob("*.py")
        if path.stem != "__init__"
    }


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module in ("planner", "profiling"):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("module", sorted(modules()))
def test_a_module_imports_only_lower_layers(module):
    assert module in LEVEL, f"add {module} to LAYERS"
    for name in imports(modules()[module]):
        if name.split(".")[0] in ("planner", "profiling"):
            assert LEVEL[name] < LEVEL[module], f"{module} imports {name}"
            assert not (module.startswith("profiling") and name.startswith("planner"))


@pytest.mark.parametrize("module", sorted(modules()))
def test_libraries_stay_behind_their_door(module):
    for name in imports(modules()[module]):
        for library, doors in DOORS.items():
            if name == library or name.startswith(library + "."):
                assert module in doors, f"{module} imports {name}"


@pytest.mark.parametrize("module", sorted(PURE))
def test_the_core_has_no_files_clock_or_models(module):
    assert not {name.split(".")[0] for name in imports(modules()[module])} & IMPURE


def test_what_runs_on_a_device_needs_numpy_and_the_runtime_only():
    names = {name.split(".")[0] for name in imports(modules()["profiling.onboard"])}
    assert names - sys.stdlib_module_names == {"numpy", "onnxruntime"}


@pytest.mark.parametrize("module", sorted(modules()))
def test_a_module_says_what_it_is_for(module):
    assert ast.get_docstring(ast.parse(modules()[module].read_text()))


def test_packages_hold_a_docstring_only():
    for package in ("planner", "planner/conversion", "profiling"):
        tree = ast.parse((ROOT / package / "__init__.py").read_text())
        assert len(tree.body) == 1
        assert ast.get_docstring(tree)


def test_no_benchmark_hides_a_package():
    names = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    assert not names & {path.parent.name for path in ROOT.glob("*/__init__.py")}


def test_no_module_imports_those_of_the_process_with_tensorflow():
    for module, path in modules().items():
        assert module in CONVERSION or not imports(path) & CONVERSION, module
