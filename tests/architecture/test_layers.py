"""Which module may import which: low to high, and some libraries through one door only."""

import ast
import sys
from pathlib import Path

import pytest
from repository import ROOT

# A module may import modules of its own line's left side and of lines above.
LAYERS = [
    {
        "profiling.errors",
        "profiling.precision",
        "profiling.progress",
        "profiling.runtime.log_filter",
        "profiling.input_files",
        "profiling.available_memory",
        "profiling.printable_text",
    },
    {"profiling.directories"},
    {"profiling.onnx_io.external_weights", "profiling.on_device.measure"},
    {"profiling.runtime.session", "profiling.onnx_io.subgraphs"},
    {"profiling.onnx_io.unique_names"},
    {"profiling.onnx_io.branch_shapes"},
    {"profiling.onnx_io.load"},
    {
        "profiling.preparation.observed_shapes",
        "profiling.preparation.equivalence",
        "profiling.preparation.opset_upgrade",
        "profiling.preparation.gemm_constants",
        "profiling.preparation.resize_axes",
        "profiling.preparation.memory_need",
    },
    {
        "profiling.quantization.activation_ranges",
        "profiling.preparation.constant_folding",
        "profiling.quantization.keep_float",
        "profiling.quantization.int16_activations",
        "profiling.quantization.per_channel_weights",
        "profiling.quantization.int8_overflow",
        "profiling.records.profile",
    },
    {"profiling.quantization.wire_formats"},
    {"profiling.quantization.quantize"},
    {
        "profiling.graph.fusion_groups",
        "profiling.records.cache",
        "profiling.quantization.fake_quantization",
        "profiling.runtime.crash_journal",
    },
    {"profiling.preparation.given_quantization", "profiling.preparation.fixed_shapes"},
    {"profiling.preparation.prepare", "profiling.graph.quantizability", "profiling.graph.nhwc_layout"},
    {"profiling.graph.unit_graph"},
    {
        "profiling.onnx_io.extract",
        "profiling.latency.kernel_tags",
        "profiling.noise.noise_taps",
        "profiling.graph.multiply_adds",
    },
    {"profiling.noise.measure_noise", "profiling.latency.stage_cuts", "profiling.noise.unit_check"},
    {"profiling.latency.plan_corrections", "profiling.records.profile_diff"},
    {"profiling.latency.measure_latency", "profiling.inspection"},
    {"profiling.latency.device_bundle", "profiling.graph.compressed_weights"},
    {
        "planner.errors",
        "planner.scenario.validation_messages",
        "planner.report.terminal_table",
        "planner.comparison.lower_envelope",
        "planner.solver.process_pool",
    },
    {"planner.cli.signals", "planner.scenario.yaml_text", "planner.inputs.npz_archive"},
    {"planner.cli.standard_output"},
    {"planner.comparison.bandwidth_traces", "planner.scenario.base_schema"},
    {"planner.comparison.plan_selection", "planner.scenario.data_schema"},
    {
        "planner.problem.placement_problem",
        "planner.peak_memory",
        "planner.scenario.schema",
        "planner.problem.routing",
        "planner.plan.records",
        "planner.user_objects",
        "planner.output.atomic_folder",
    },
    {
        "planner.conversion.request",
        "planner.conversion.tf_worker.exception_text",
        "planner.conversion.tf_worker.layer_names",
    },
    {
        "planner.conversion.tf_worker.qat_weights",
        "planner.conversion.tf_worker.integer_clips",
        "planner.conversion.tf_worker.remove_reshapes",
        "planner.conversion.tf_worker.tf2onnx_patches",
        "planner.conversion.tf_worker.missing_operators",
        "planner.conversion.tf_worker.wide_integers",
        "planner.conversion.tf_worker.plain_tflite",
    },
    {
        "planner.conversion.tf_worker.traced_function",
        "planner.conversion.tf_worker.keras_loader",
        "planner.conversion.tf_worker.tflite_model",
    },
    {"planner.conversion.tf_worker.freeze_variables"},
    {"planner.conversion.tf_worker.keras_tracing", "planner.conversion.tf_worker.tf2onnx_export"},
    {"planner.conversion.tf_worker.random_weights"},
    {"planner.conversion.tf_worker.keras_applications"},
    {"planner.conversion.tf_worker.tf_functions"},
    {"planner.conversion.tf_worker.main"},
    {"planner.conversion.model_source", "planner.conversion.worker_process"},
    {"planner.conversion.converter"},
    {"planner.image_layout"},
    {"planner.conversion.equivalence_check"},
    {"planner.scenario.partial_scenario", "planner.scenario.missing_files", "planner.scenario.file_kind"},
    {
        "planner.inputs.image_preprocessing",
        "planner.solver.backends",
        "planner.problem_io.schema",
        "planner.scenario.validation",
    },
    {"planner.problem_io.cross_references"},
    {"planner.problem_io.loader"},
    {
        "planner.problem.cost_evaluation",
        "planner.scenario.loader",
        "planner.inputs.dataset",
        "planner.verification.stage_chain",
        "planner.verification.error_metrics",
        "planner.comparison.sweep",
        "planner.comparison.records",
        "planner.solver.presolve.device_symmetry",
        "planner.problem.unit_dag",
        "planner.solver.presolve.merge_units",
        "planner.solver.lagrangian.multipliers",
        "planner.solver.lagrangian.variable_elimination",
        "planner.costs.budget_limits",
    },
    {
        "planner.solver.milp.builder",
        "planner.solver.lagrangian.relaxation",
        "planner.solver.lagrangian.restricted_master",
        "planner.verification.sample_size",
    },
    {
        "planner.solver.milp.assignment_constraints",
        "planner.solver.milp.transport_constraints",
        "planner.solver.milp.objective_and_limits",
    },
    {"planner.solver.milp.model"},
    {
        "planner.solver.lagrangian.dual_bound",
        "planner.solver.pipeline_dp",
        "planner.solver.presolve.stage_windows",
    },
    {"planner.solver.solve", "planner.costs.formulation", "planner.deployment.mixed_precision"},
    {
        "planner.costs.whole_model",
        "planner.comparison.baselines",
        "planner.solver.single_precision",
        "planner.solver.infeasibility",
        "planner.solver.pareto_front",
    },
    {"planner.costs.noise_model", "planner.refinement.infeasibility_text", "planner.problem_io.solution"},
    {
        "planner.deployment.split",
        "planner.refinement.noise_limit_search",
        "planner.verification.verify",
        "planner.costs.device_profiles",
    },
    {"planner.devices.quantization_schemes"},
    {"planner.refinement.plan_assembly", "planner.inputs.refused_units"},
    {"planner.deployment.metadata"},
    {"planner.refinement.closed_loop"},
    {"planner.inputs.prepared_scenario"},
    {"planner.deployment.build", "planner.costs.profile_files"},
    {"planner.refinement.measured_scenario"},
    {"planner.report.figure_style", "planner.report.html_values"},
    {"planner.report.graph_figure", "planner.report.figures", "planner.report.html_page"},
    {"planner.report.plan_html", "planner.report.comparison_html"},
    {
        "planner.solver.solve_cache",
        "planner.comparison.sweep_points",
        "planner.report.comparison_table",
        "planner.verification.time_plan",
        "planner.verification.time_plans",
    },
    {"planner.comparison.plan_registry"},
    {
        "planner.comparison.breakpoints",
        "planner.comparison.baseline_rows",
        "planner.comparison.pareto_sweep",
        "planner.comparison.plan_set",
        "planner.comparison.plan_measurements",
    },
    {"planner.comparison.compare"},
    {"planner.plan.manifest", "planner.cli.compare_options"},
    {"planner.output.comparison_folder"},
    {"planner.run"},
    {"planner.output.plan_folder"},
    {"planner.cli.versions"},
    {"planner.output.run_input"},
    {
        "planner.report.plan_tables",
        "planner.report.solution_table",
        "planner.output.run_exported",
        "planner.inputs.inspect_source",
    },
    {"planner.cli.commands"},
    {"planner.cli.supervisor"},
    {"planner.__main__"},
]
LEVEL = {module: level for level, modules in enumerate(LAYERS) for module in modules}
# They run in a process of their own, and nothing outside imports them.
CONVERSION = {
    f"planner.conversion.tf_worker.{name}"
    for name in (
        "keras_applications", "tf2onnx_export", "freeze_variables", "tf_functions", "keras_loader",
        "keras_tracing",
        "tflite_model", "traced_function", "tf2onnx_patches", "missing_operators", "plain_tflite",
        "random_weights",
        "main",
    )
}  # fmt: skip
DOORS = {
    "pulp": {
        "planner.solver.milp.builder",
        "planner.solver.milp.assignment_constraints",
        "planner.solver.milp.transport_constraints",
        "planner.solver.milp.objective_and_limits",
        "planner.solver.milp.model",
        "planner.solver.lagrangian.restricted_master",
        "planner.solver.solve",
        "planner.solver.backends",
    },
    "highspy": set(),
    "pydantic": {
        "planner.scenario.base_schema",
        "planner.scenario.partial_scenario",
        "planner.scenario.data_schema",
        "planner.scenario.schema",
        "planner.scenario.validation",
        "planner.problem_io.schema",
    },
    "ruamel": {"planner.scenario.loader", "planner.scenario.yaml_text"},
    "onnxruntime.quantization": {"profiling.quantization.quantize"},
    "cyclopts": {"planner.cli.commands"},
    "matplotlib": {
        "planner.report.figure_style",
        "planner.report.graph_figure",
        "planner.report.figures",
        "planner.report.plan_html",
        "planner.report.comparison_html",
    },
    "jinja2": {"planner.report.html_page"},
    **dict.fromkeys(("tensorflow", "keras", "tf_keras", "tf2onnx", "h5py"), CONVERSION),
}
PURE = {
    "planner.problem.placement_problem",
    "planner.plan.records",
    "planner.problem.cost_evaluation",
    "planner.problem.routing",
    "planner.solver.lagrangian.multipliers",
    "planner.solver.presolve.device_symmetry",
    "planner.solver.lagrangian.relaxation",
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
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & modules().keys()
            found |= inner or {node.module}
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
    names = {name.split(".")[0] for name in imports(modules()["profiling.on_device.measure"])}
    assert names - sys.stdlib_module_names == {"numpy", "onnxruntime"}


@pytest.mark.parametrize("module", sorted(modules()))
def test_a_module_says_what_it_is_for(module):
    assert ast.get_docstring(ast.parse(modules()[module].read_text()))


def test_packages_hold_a_docstring_only():
    for path in [*ROOT.glob("planner/**/__init__.py"), *ROOT.glob("profiling/**/__init__.py")]:
        tree = ast.parse(path.read_text())
        assert len(tree.body) == 1
        assert ast.get_docstring(tree)


def test_no_benchmark_hides_a_package():
    names = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    assert not names & {path.parent.name for path in ROOT.glob("*/__init__.py")}


def test_no_module_imports_those_of_the_process_with_tensorflow():
    for module, path in modules().items():
        assert module in CONVERSION or not imports(path) & CONVERSION, module
