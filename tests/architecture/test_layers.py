"""Which package may import which, and some libraries through one door only."""

import ast
import sys
from pathlib import Path

import networkx as nx
import pytest
from repository import ROOT

# Low to high: a package imports only packages of lines above, and modules of its own.
LAYERS = [
    {
        "profiling.arrays",
        "profiling.errors",
        "profiling.precision",
        "profiling.progress",
        "profiling.range_method",
    },
    {"profiling.runtime_names"},
    {"profiling.available_memory", "profiling.cache_lock"},
    {"profiling.input_files", "profiling.printable_text"},
    {"profiling.directories"},
    {"profiling.on_device"},
    {"profiling.runtime"},
    {"profiling.onnx_io"},
    {"profiling.records"},
    {"profiling.quantization"},
    {"profiling.preparation"},
    {"profiling.graph"},
    {"profiling.noise", "profiling.latency"},
    {"profiling.inspection", "profiling.probe_precisions"},
    {"profiling.litert", "profiling.tensorflow_runtime"},
    {"profiling.runtime_model", "profiling.onnx_runtime_model", "profiling.stage_session"},
    {"profiling.several_runtimes"},
    {"planner.errors", "planner.formatting", "planner.image_layout", "planner.json_record"},
    {"planner.process_memory", "planner.user_objects"},
    {"planner.problem", "planner.scenario"},
    {"planner.solver", "planner.conversion", "planner.devices", "planner.metrics"},
    {"planner.inputs", "planner.plan", "planner.problem_io"},
    {"planner.deployment"},
    {"planner.costs", "planner.verification"},
    {"planner.refinement"},
    {
        "planner.comparison",
        "planner.export_and_verify",
        "planner.profile_device",
        "planner.run",
        "planner.run_models",
    },
    {"planner.report"},
    {"planner.output"},
    {"planner.hosts"},
    {"splitquant"},  # the public interface
    {"planner.cli"},
    {"planner.__main__"},
]
LEVEL = {package: level for level, packages in enumerate(LAYERS) for package in packages}
WORKER = "planner.conversion.tf_worker"  # runs in a process of its own
STAGE_PROCESS = "profiling.tensorflow_runtime.in_process"  # so does this
# Library -> the only modules and packages that import it.
DOORS = {
    "pulp": (
        "planner.solver.milp",
        "planner.solver.backends",
        "planner.solver.highs",
        "planner.solver.pulp_call",
        "planner.solver.lagrangian.restricted_master",
    ),
    "highspy": ("planner.solver.highs",),
    "pydantic": (
        "planner.scenario.schema",
        "planner.scenario.models_schema",
        "planner.scenario.field_types",
        "planner.scenario.data_schema",
        "planner.scenario.metric_schema",
        "planner.scenario.device_schema",
        "planner.scenario.link_schema",
        "planner.scenario.budget_schema",
        "planner.scenario.fleet_schema",
        "planner.scenario.partial_scenario",
        "planner.scenario.validation",
        "planner.problem_io.schema",
    ),
    "ruamel": ("planner.scenario",),
    "onnxruntime.quantization": (
        "profiling.quantization.qdq_model",
        "profiling.quantization.range_choice",
        "profiling.quantization.ranges_file",
    ),
    "cyclopts": ("planner.cli",),
    "pandas": (
        "splitquant._tables",
        "splitquant._plans",
        "splitquant._problems",
        "splitquant._profiles",
        "splitquant._comparisons",
    ),
    "pycocotools": ("planner.metrics.coco_ap",),
    "zenoh": ("planner.hosts.on_host.network",),
    "ray": ("planner.hosts.on_ray.application",),
    "starlette": ("planner.hosts.on_ray.application",),
    "cryptography": ("planner.hosts.certificates",),
    "ai_edge_litert": (
        "profiling.litert.flatbuffer",
        "profiling.litert.interpreter",
        "planner.hosts.on_host.litert_stage",
    ),
    "flatbuffers": ("profiling.litert.flatbuffer", WORKER),
    "litert_quantizer": ("profiling.litert.quantizer",),
    "rich": ("planner.report", "planner.cli"),
    # Outside it only as the type of an argument.
    "matplotlib": ("planner.report", "splitquant._plans", "splitquant._comparisons"),
    "jinja2": ("planner.report",),
    "markupsafe": ("planner.report",),
    "tensorflow": (WORKER, STAGE_PROCESS),
    **dict.fromkeys(("keras", "tf_keras", "tf2onnx", "h5py"), (WORKER,)),
}
PURE = ("planner.problem", "planner.solver.lagrangian", "planner.solver.presolve")
IMPURE = {"onnx", "onnxruntime", "time", "pathlib", "os", "tempfile"}
MOST_MODULES = 20  # of a folder


def modules() -> dict[str, Path]:
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path
        for package in ("planner", "profiling", "splitquant")
        for path in (ROOT / package).rglob("*.py")
        if path.stem != "__init__"
    }


MODULES = modules()


def imports(path: Path) -> set[str]:
    """Return what a file imports, inside functions too: our modules, and others as they are named."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module, f"{path}: a relative import"
            ours = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys()
            names |= ours or {node.module}
    return names


IMPORTS = {module: imports(path) for module, path in MODULES.items()}


def package(module: str) -> str:
    return "splitquant" if within(module, ("splitquant",)) else ".".join(module.split(".")[:2])


def within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == one or name.startswith(one + ".") for one in packages)


def test_packages_import_only_lower_packages():
    pairs = {(package(a), package(b)) for a, names in IMPORTS.items() for b in names if b in MODULES}
    unlisted = {package(module) for module in MODULES} ^ LEVEL.keys()
    assert not unlisted, f"LAYERS and folders differ in {unlisted}"
    assert not [(a, b) for a, b in pairs if a != b and LEVEL[b] >= LEVEL[a]]


def test_profiling_knows_nothing_of_the_planner():
    assert not [m for m, names in IMPORTS.items() if m.startswith("profiling.") and within_any(names)]


def within_any(names: set[str]) -> bool:
    return any(within(name, ("planner", "splitquant")) for name in names)


def test_modules_import_each_other_in_no_cycle():
    graph = nx.DiGraph((a, b) for a, names in IMPORTS.items() for b in names if b in MODULES)
    assert not [sorted(group) for group in nx.strongly_connected_components(graph) if len(group) > 1]


def test_libraries_stay_behind_their_doors():
    assert not [
        (module, name)
        for module, names in IMPORTS.items()
        for name in names
        for library, doors in DOORS.items()
        if within(name, (library,)) and not within(module, doors)
    ]


@pytest.mark.parametrize("place", PURE)
def test_the_core_has_no_files_clock_or_models(place):
    names = {name.split(".")[0] for module in MODULES if within(module, (place,)) for name in IMPORTS[module]}
    assert names
    assert not names & IMPURE


def test_what_runs_on_a_device_needs_numpy_and_the_runtime_only():
    own = [module for module in MODULES if within(module, ("profiling.on_device",))]
    names = {name.split(".")[0] for module in own for name in IMPORTS[module] - set(own)}
    assert names - sys.stdlib_module_names == {"numpy", "onnxruntime"}


def reached_from(modules: set[str]) -> set[str]:
    """Return modules and what of ours they import, and so on."""
    reached, waiting = set(), set(modules)
    while waiting:
        module = waiting.pop()
        reached.add(module)
        waiting |= {name for name in IMPORTS[module] if name in MODULES} - reached
    return reached


def test_what_a_plan_says_is_read_without_a_runtime():
    reached = reached_from({"planner.plan.plan_record", "planner.plan.plan_diff", "planner.plan.manifest"})
    names = {name.split(".")[0] for module in reached for name in IMPORTS[module] - MODULES.keys()}
    assert "msgspec" in names
    assert not names & {"onnx", "onnxruntime", "tensorflow", "ai_edge_litert"}


def test_what_measures_litert_on_a_device_imports_nothing_of_onnx_runtime():
    reached = reached_from({"profiling.on_device.litert.litert_bundle"})
    assert len(reached) > 10
    others = {name.split(".")[0] for module in reached for name in IMPORTS[module] - MODULES.keys()}
    assert others - sys.stdlib_module_names <= {"numpy"}


def test_nothing_imports_what_runs_beside_tensorflow():
    assert not [
        (module, name)
        for module, names in IMPORTS.items()
        for name in names
        if within(name, (WORKER,)) and not within(module, (WORKER,))
    ]


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_says_what_it_is_for(module):
    assert ast.get_docstring(ast.parse(MODULES[module].read_text(encoding="utf-8")))


def test_packages_hold_a_docstring_only():
    folders = {path.parent for path in MODULES.values()} - {ROOT / "splitquant"}  # which holds the names
    for folder in folders:
        tree = ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))
        assert len(tree.body) == 1
        assert ast.get_docstring(tree)


def test_no_folder_is_crowded():
    folders = [path.parent for path in MODULES.values()]
    assert not [folder for folder in set(folders) if folders.count(folder) > MOST_MODULES]


def test_no_benchmark_hides_a_package():
    names = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    assert not names & {path.parent.name for path in ROOT.glob("*/__init__.py")}
