"""Plans from Python: the command's own, whatever they are asked for."""

import itertools
import json
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import msgspec
import networkx as nx
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from npz_archives import arrays_of
from planned_models import scenario_content

import splitquant as sq
from planner.cli.commands import main
from planner.plan.graph_record import UnitGraph
from planner.plan.plan_record import CostDoubt, NoisyCosts
from splitquant._plan_graph import plan_graph

mpl.use("agg")
SAMPLES = np.random.default_rng(3).normal(size=(5, 2, 8, 8)).astype(np.float32)


def content(plan: sq.Plan) -> dict:
    """Return a record as JSON has it; its scenario is text that may be spaced otherwise."""
    return msgspec.json.decode(msgspec.json.encode(plan))


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def fixed(tmp_path_factory, _prepared) -> dict:
    """Return a scenario whose seconds come from a file: nothing in its plans depends on this moment."""
    folder = tmp_path_factory.mktemp("fixed")
    sq.profile(_prepared / "scenario.yaml", "camera").save(folder / "camera.json")
    scenario = sq.load_scenario(_prepared / "scenario.yaml").to_dict()
    scenario["devices"][0]["profile"] = str(folder / "camera.json")
    scenario["budget"] = {"noise_relative_rms": 0.5}
    return scenario


def test_the_command_makes_the_same_plan(fixed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("s.json").write_text(json.dumps(fixed))
    mine = sq.plan(fixed)
    mine.save("mine")
    with pytest.raises(SystemExit) as done:
        main(["s.json", "--out", "theirs"])
    assert done.value.code == 0
    theirs = sq.load_plan("theirs")
    for key in ("status", "assignments", "cuts", "predicted", "rounds", "quantization", "scenario"):
        assert content(mine.plan)[key] == content(theirs.plan)[key], key
    assert files_of(Path("mine")) == files_of(Path("theirs"))
    for name in files_of(Path("mine")):
        if name.endswith(".onnx") or name == "graph.json":
            assert Path("mine", name).read_bytes() == Path("theirs", name).read_bytes(), name


def test_a_saved_plan_is_loaded_as_it_was(planned, saved, tmp_path):
    loaded = sq.load_plan(str(saved))
    assert loaded.is_delivered
    assert content(loaded.plan) == content(planned.plan)
    assert loaded.scenario.to_dict() == planned.scenario.to_dict()
    assert (loaded.latency_s, loaded.status, repr(loaded)) == (
        planned.latency_s,
        planned.status,
        repr(planned),
    )
    assert nx.utils.graphs_equal(loaded.graph(), planned.graph())


def test_saving_twice_and_elsewhere_gives_the_same_folder(planned, tmp_path):
    first = planned.save(tmp_path / "deep" / "first")
    before = {name: (first / name).read_bytes() for name in files_of(first)}
    assert planned.save(first) == first
    copies = [first, sq.load_plan(first).save(tmp_path / "second"), sq.load_plan(first).save(first)]
    for folder in copies:
        after = {name: (folder / name).read_bytes() for name in files_of(folder)}
        assert after.keys() == before.keys()
        assert all(after[name] == before[name] for name in before if name.endswith((".onnx", "plan.json")))
    assert content(sq.load_plan(first).plan) == content(planned.plan)


def test_a_plan_with_large_weights_is_saved_twice(tmp_path):
    weights = np.random.default_rng(0).normal(size=(600, 600)).astype(np.float32) / 24
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]>
        large (float[1, 600] x) => (float[1, 600] y) {
            h = MatMul (x, w)
            r = Relu (h)
            y = MatMul (r, w)
        }"""
    )
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    samples = np.random.default_rng(1).normal(size=(12, 1, 600)).astype(np.float32)
    result = sq.plan(scenario_content(tmp_path, model, {"x": samples}))
    first, second = result.save(tmp_path / "first"), result.save(tmp_path / "second")
    result.save(first)
    answers = [sq.run(folder, samples)["y"].tobytes() for folder in (first, second)]
    assert answers[0] == answers[1]
    for name in files_of(first):
        if ".onnx" in name:
            assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_a_folder_of_others_is_never_overwritten(planned, saved, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    for result in (planned, sq.load_plan(saved)):
        with pytest.raises(sq.OutputError, match=".*holds"):
            result.save(tmp_path)
        with pytest.raises(sq.OutputError, match=".*mine.txt"):
            result.save(tmp_path / "mine.txt")
    assert files_of(tmp_path) == {"mine.txt"}


def test_a_loaded_plan_that_changed_since_is_not_copied(saved, tmp_path):
    folder = shutil.copytree(saved, tmp_path / "plan")
    loaded = sq.load_plan(folder)
    (folder / "model.onnx").write_bytes(b"")
    with pytest.raises(sq.OutputError, match="has changed"):
        loaded.save(tmp_path / "copy")
    with pytest.raises(sq.OutputError, match="has changed"):
        sq.load_plan(folder)


def test_a_relative_folder_is_found_after_the_working_directory_changed(saved, monkeypatch, tmp_path):
    monkeypatch.chdir(saved.parent)
    loaded = sq.load_plan("mine")
    monkeypatch.chdir(tmp_path)
    assert loaded.graph().nodes


@pytest.mark.parametrize("what", ["nowhere", "m.onnx", "."])
def test_what_is_no_plan_is_not_loaded(here, what):
    with pytest.raises(sq.OutputError):
        sq.load_plan(what)


def test_the_graph_says_where_everything_is_and_what_crosses(planned):
    graph, plan = planned.graph(), planned.plan
    assert nx.is_directed_acyclic_graph(graph)
    for assigned in plan.assignments:
        node = graph.nodes[assigned.unit]
        assert (node["kind"], node["device"], node["precision"]) == (
            "unit",
            assigned.device,
            assigned.precision.value,
        )
        assert (node["seconds"], node["bytes"]) == (assigned.compute_s, assigned.weight_bytes)
    ends = {name: data["device"] for name, data in graph.nodes(data=True) if data["kind"] != "unit"}
    assert ends == {"input:x": "camera", "output:y": "camera"}
    crossing = [data for _, _, data in graph.edges(data=True) if data["wire"] is not None]
    assert len(crossing) == 2
    assert sum(data["seconds"] for data in crossing) == pytest.approx(plan.predicted.transfer_s)
    assert sum(data["bytes"] for data in crossing) == sum(cut.size_bytes for cut in plan.cuts)
    for source, target, data in graph.edges(data=True):
        assert (data["wire"] is not None) == (graph.nodes[source]["device"] != graph.nodes[target]["device"])
        assert (data["bytes"] > 0) == (data["seconds"] > 0) == (data["wire"] is not None)
    assert graph.edges["input:x", "Conv_0"]["tensor_bytes"] == 2 * 8 * 8 * 4
    assert graph.graph["latency_s"] == planned.latency_s


def test_an_end_never_takes_the_name_of_a_unit(planned):
    record = json.dumps(msgspec.to_builtins(planned._unit_graph())).replace('"Conv_0"', '"input:x"')
    units = tuple(
        msgspec.structs.replace(a, unit="input:x" if a.unit == "Conv_0" else a.unit)
        for a in planned.plan.assignments
    )
    renamed = msgspec.structs.replace(planned.plan, assignments=units)
    graph = plan_graph(renamed, msgspec.json.decode(record, type=UnitGraph))
    assert graph.nodes["input:x"]["kind"] == "unit"
    assert graph.nodes["_input:x"]["kind"] == "input"
    assert graph.edges["_input:x", "input:x"]["tensors"] == ("x",)


def test_a_plan_is_drawn_on_axes_of_ones_own_and_on_new_ones(planned, saved):
    own = Figure().add_subplot()
    assert planned.plot(own) is own
    labels = {text.get_text() for text in own.get_legend().get_texts()}
    assert "crosses a link" in labels
    assert {f"{a.device}, {a.precision.value}" for a in planned.plan.assignments} <= labels
    drawn = {text.get_text() for text in own.texts}
    assert any("B" in text for text in drawn)
    axes = sq.load_plan(saved).plot()
    assert axes is not own
    plt.close(axes.figure)


def test_an_infeasible_scenario_gives_a_reason_and_nothing_else(infeasible, tmp_path):
    assert (infeasible.status, infeasible.latency_s, infeasible.is_delivered) == ("infeasible", None, False)
    assert "budget.latency_ms: 0.001 ms cannot be kept" in infeasible.reason
    for table in (infeasible.table, infeasible.cuts_table):
        assert len(table()) == 0
        assert list(table().columns)[:1] == [{"table": "unit", "cuts_table": "tensor"}[table.__name__]]
    for call in (infeasible.graph, infeasible.plot):
        with pytest.raises(sq.NoPlanError) as caught:
            call()
        assert str(caught.value) == infeasible.reason
    with pytest.raises(sq.NoPlanError):
        infeasible.save(tmp_path / "o")
    assert not (tmp_path / "o").exists()
    assert infeasible.reason in repr(infeasible)
    assert "cannot be kept" in infeasible._repr_html_()


def test_a_plan_that_broke_a_budget_can_be_looked_at_but_not_saved(planned, tmp_path):
    broken = replace(planned, reason="verification failed: top1_agreement is 0.5")
    assert not broken.is_delivered
    assert len(broken.graph()) == len(planned.graph())
    with pytest.raises(sq.NoPlanError, match="verification failed"):
        broken.save(tmp_path / "o")
    assert "verification failed" in broken._repr_html_()


def test_costs_in_doubt_are_told_as_the_terminal_tells_them(planned):
    doubt = CostDoubt(predicted=0.5, measured=0.6, low=0.59, high=0.61, difference=0.2)
    calm = msgspec.structs.replace(planned.plan, cost_doubt=None, noisy_costs=())  # whatever else runs
    doubted = replace(planned, plan=msgspec.structs.replace(calm, cost_doubt=doubt))
    assert f"{planned.status} plan for costs in doubt, " in repr(doubted)
    assert "the built stages take 20% longer than predicted" in doubted._repr_html_()
    plain = replace(planned, plan=calm)
    assert "in doubt" not in repr(plain) + plain._repr_html_()


def test_noisy_costs_are_told_as_the_terminal_tells_them(planned):
    noisy = NoisyCosts(device="camera", spread=0.23, clock="cpu")
    told = replace(planned, plan=msgspec.structs.replace(planned.plan, cost_doubt=None, noisy_costs=(noisy,)))
    assert f"{planned.status} plan for noisy costs (spread 23%), " in repr(told)
    assert "costs are noisy: " in told._repr_html_()


class StopError(Exception):
    """What a progress callback raises."""


@pytest.mark.parametrize(
    ("where", "error", "noise_samples"),  # so many that noise is not in the cache yet
    [
        ("reading the model", StopError, 3),
        ("noise, in runs of the model", StopError, 4),
        ("noise, in runs of the model", KeyboardInterrupt, 5),
        ("solving and trying out plans", KeyboardInterrupt, 6),
        ("running the stages", StopError, 7),
    ],
)
def test_a_progress_that_raises_ends_the_call_and_the_next_one_goes_on(here, where, error, noise_samples):
    scenario = sq.load_scenario("scenario.yaml", profiling={"rounds": 3, "noise_samples": noise_samples})
    seen = []

    def stop(what: str, done: int, total: int) -> None:
        seen.append((what, done, total))
        if what == where and done:
            raise error

    with pytest.raises(error):
        sq.plan(scenario, progress=stop)
    assert all(0 <= done <= total for _, done, total in seen)
    assert sq.plan(scenario).is_delivered


def test_progress_tells_each_step_by_its_own_name(here):
    seen: list[str] = []
    sq.plan("scenario.yaml", progress=lambda what, *_: seen.append(what))
    steps = [what for what, _ in itertools.groupby(seen)]
    last = [
        "solving and trying out plans",
        "building the stages",
        "running the stages",
        "comparing the stages with the whole model",
        "timing the stages",
    ]
    assert steps[-len(last) :] == last


def test_an_interrupt_of_the_users_metric_is_an_interrupt(here, tmp_path):
    body = "    os.kill(os.getpid(), signal.SIGINT)\n    return 1.0\n"
    (tmp_path / "interrupted_metric.py").write_text(f"import os, signal\ndef m(outputs, labels):\n{body}")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a notebook
    try:
        with pytest.raises(KeyboardInterrupt):
            sq.plan(sq.load_scenario("scenario.yaml", metric=f"{tmp_path}/interrupted_metric:m"))
    finally:
        signal.signal(signal.SIGINT, before)


def test_several_models_are_planned_and_saved_together(here, tmp_path):
    result = sq.plan_models("two/s.yaml")
    assert result.is_delivered, result.reason
    assert list(result.models) == ["shapes", "joins"]
    assert result.latency_s == pytest.approx(
        sum(share * one.latency_s for share, one in zip((0.75, 0.25), result.models.values(), strict=True))
    )
    folder = result.save(tmp_path / "both")
    result.save(folder)
    for name, one in result.models.items():
        assert content(sq.load_plan(folder / name).plan) == content(one.plan)
        assert one.graph().nodes
    with pytest.raises(sq.OutputError, match="holds the plans of shapes, joins; give one's folder"):
        sq.load_plan(folder)
    with pytest.raises(sq.OutputError, match="give one's folder"):
        sq.run(folder, SAMPLES)
    assert "shapes" in result._repr_html_()
    assert "shapes, joins" in repr(result)


def test_exported_stages_answer_as_the_whole_model(saved):
    session = ort.InferenceSession(saved / "model.onnx", providers=["CPUExecutionProvider"])
    expected = np.stack([session.run(["y"], {"x": one[None]})[0] for one in SAMPLES])
    for inputs in (SAMPLES, {"x": SAMPLES}, {"x": SAMPLES.astype(np.float64)}, SAMPLES.tolist()):
        assert sq.run(str(saved), inputs)["y"] == pytest.approx(expected, abs=1e-5)
    assert sq.run(saved, SAMPLES[0])["y"].shape == (1, 1, 4)


def test_a_file_answers_as_the_command_does(saved, tmp_path):
    np.savez(tmp_path / "x.npz", x=SAMPLES)
    with pytest.raises(SystemExit):
        main(["run", str(saved), "--input", str(tmp_path / "x.npz"), "--output", str(tmp_path / "y.npz")])
    theirs = arrays_of(tmp_path / "y.npz")["y"]
    assert sq.run(saved, str(tmp_path / "x.npz"))["y"].tobytes() == theirs.tobytes()
    assert sq.run(saved, {"x": SAMPLES})["y"].tobytes() == theirs.tobytes()


def test_one_stage_after_the_other_answers_as_all_together(saved):
    manifest = json.loads((saved / "manifest.json").read_text())
    arrays = {"x": SAMPLES}
    for stage in manifest["stages"]:
        inputs = {port["name"]: arrays[port["name"]] for port in stage["inputs"]}
        arrays |= sq.run(saved, inputs, stage=stage["number"])
    assert arrays["y"].tobytes() == sq.run(saved, SAMPLES)["y"].tobytes()


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ({}, "inputs: has no array 'x'"),
        ({"x": np.zeros((2, 3), np.float32)}, "inputs: 'x' wants float32, shape [1, 2, 8, 8]"),
        (["a", "b"], "inputs: 'x' wants float32"),
        ({1: SAMPLES}, "inputs: has no array 'x'; it has 1"),
        (None, "inputs: 'x' wants float32"),
        ("nowhere.npz", "inputs nowhere.npz: nowhere.npz does not exist"),
        (np.zeros((0, 2, 8, 8), np.float32), "inputs: holds no samples"),
    ],
)
def test_inputs_that_do_not_fit_are_told(saved, inputs, text):
    with pytest.raises(sq.DataError) as caught:
        sq.run(saved, inputs)
    assert text in str(caught.value)


def test_what_is_no_plan_or_stage_is_not_run(saved, here):
    with pytest.raises(sq.OutputError, match="No such file"):
        sq.run("nowhere", SAMPLES)
    with pytest.raises(sq.OutputError, match="stage 9: the plan has stages"):
        sq.run(saved, SAMPLES, stage=9)


def test_a_stage_may_be_called_as_its_file_is(saved):
    by_number, by_text = (sq.run(saved, SAMPLES, stage=stage) for stage in (0, "00"))
    assert list(by_number) == list(by_text)
    assert all(by_number[name].tobytes() == by_text[name].tobytes() for name in by_number)


def test_a_plan_that_is_no_folder_yet_is_to_be_saved_first(planned):
    with pytest.raises(sq.UsageError, match="a PlanResult is no path; save it first"):
        sq.run(planned, SAMPLES)


def test_a_comparison_is_no_plan_and_the_message_says_what_to_type(here, tmp_path):
    (tmp_path / "compare.json").write_text("{}")
    with pytest.raises(sq.OutputError, match="is a comparison, not one plan: `plan SCENARIO --out DIR`"):
        sq.run(tmp_path, SAMPLES)


def test_an_error_of_the_runtime_is_a_public_one(here, tmp_path):
    model = onnx.load(here / "m.onnx")
    model.graph.node[0].op_type = "Nonsense"
    onnx.save(model, tmp_path / "bad.onnx")
    with pytest.raises(sq.SplitquantError):
        sq.plan(sq.load_scenario("scenario.yaml", model=tmp_path / "bad.onnx"))


def test_a_table_has_a_row_per_unit_and_per_crossing(planned):
    pd = pytest.importorskip("pandas")
    table, cuts = planned.table(), planned.cuts_table()
    assert list(table.columns) == ["unit", "device", "precision", "compute_s", "noise_power", "weight_bytes"]
    assert list(table["unit"]) == [a.unit for a in planned.plan.assignments]
    assert {type(value) for value in table["precision"]} == {str}
    assert pd.api.types.is_float_dtype(table["compute_s"])
    assert pd.api.types.is_integer_dtype(table["weight_bytes"])
    assert cuts["seconds"].sum() == pytest.approx(planned.plan.predicted.transfer_s)
    assert list(cuts["path"]) == ["camera > server", "server > camera"]


def test_without_pandas_a_table_says_what_to_install(planned, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    for call in (planned.table, planned.cuts_table):
        with pytest.raises(ImportError, match=r"tables need pandas: pip install 'splitquant\[notebook\]'"):
            call()


def test_a_notebook_shows_devices_and_what_crosses(planned):
    shown = planned._repr_html_()
    assert "for one request" in shown
    assert "camera &gt; server" in shown
    assert shown.count("<table>") == shown.count("</table>") == 2


def test_a_plan_has_its_objective_and_bound_as_its_record_does(planned, infeasible):
    goal = planned.plan.objective
    assert (planned.objective, planned.bound, planned.gap) == (goal.value, goal.bound, goal.gap)
    assert planned.bound <= planned.objective * (1 + 1e-9)
    assert infeasible.objective is None


def test_a_device_has_its_seconds_once_in_html(planned):
    for device, seconds in planned.plan.predicted.compute_s.items():
        cells = f'right">{seconds * 1e3:.4g}</td>'
        own = {row.precision for row in planned.plan.assignments if row.device == device}
        assert planned._repr_html_().count(cells) == (1 if own else 0)
