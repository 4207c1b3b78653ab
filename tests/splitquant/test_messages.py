"""What goes wrong is told from Python as the command tells it."""

import pytest

import splitquant as sq
from planner.cli.commands import main
from planner.cli.exit_codes import BAD_INPUT, INFEASIBLE, USAGE
from splitquant._calls import in_parameters

PROBLEM = {"devices": [{"name": "a"}], "units": [{"name": "u", "options": [{"device": "a", "seconds": 1}]}]}
CASES = {
    "a missing scenario": (["no.yaml"], lambda: sq.plan("no.yaml"), BAD_INPUT),
    "a model": (["m.onnx"], lambda: sq.plan("m.onnx"), BAD_INPUT),
    "a missing file": (
        ["scenario.yaml", "--set", "model=none.onnx"],
        lambda: sq.plan(sq.load_scenario("scenario.yaml", model="none.onnx")),
        BAD_INPUT,
    ),
    "wrong keys": (
        ["scenario.yaml", "--set", "links.0.bandwith=3", "--set", "sink=cam"],
        lambda: sq.load_scenario("scenario.yaml", links__0__bandwith=3, sink="cam"),
        BAD_INPUT,
    ),
    "data that are missing": (
        ["scenario.yaml", "--set", "data.evaluation.labels=nothing"],
        lambda: sq.plan(sq.load_scenario("scenario.yaml", data__evaluation__labels="nothing")),
        BAD_INPUT,
    ),
    "a device that is none": (
        ["profile", "scenario.yaml", "--device", "toaster"],
        lambda: sq.profile("scenario.yaml", "toaster"),
        BAD_INPUT,
    ),
    "nothing to compare": (["compare", "scenario.yaml"], lambda: sq.compare("scenario.yaml"), USAGE),
    "bandwidths that descend": (
        ["compare", "scenario.yaml", "--bandwidth", "5,1"],
        lambda: sq.compare("scenario.yaml", bandwidths=[5, 1]),
        BAD_INPUT,
    ),
    "no plan": (["verify", "two"], lambda: sq.load_plan("two"), BAD_INPUT),
    "an input that is missing": (
        ["run", "plans/mine", "--input", "none.npz", "--output", "o.npz"],
        lambda: sq.run("plans/mine", "none.npz"),
        BAD_INPUT,
    ),
    "no problem": (["solve", "none.json"], lambda: sq.solve("none.json"), BAD_INPUT),
    "a scenario for a problem": (["solve", "scenario.yaml"], lambda: sq.solve("scenario.yaml"), BAD_INPUT),
}


def told(arguments: list[str], capsys) -> tuple[int, str]:
    """Return the command's exit code and what it says of an error."""
    with pytest.raises(SystemExit) as done:
        main(arguments)
    return done.value.code, capsys.readouterr().err.strip()


@pytest.mark.parametrize("what", CASES)
@pytest.mark.usefixtures("here", "saved")
def test_an_error_has_the_message_of_the_command(what, capsys):
    arguments, call, code = CASES[what]
    with pytest.raises(sq.SplitquantError) as caught:
        call()
    assert isinstance(caught.value, sq.UsageError) == (code == USAGE)
    exit_code, said = told(arguments, capsys)
    assert (exit_code, in_parameters(said)) == (code, str(caught.value))


@pytest.mark.usefixtures("here")
def test_the_reason_for_no_plan_is_that_of_the_command(tmp_path, capsys):
    """Of a profile's file, since what would do depends on the measured seconds."""
    sq.profile("scenario.yaml", "camera").save(tmp_path / "p.json")
    changes = {"devices.0.profile": str(tmp_path / "p.json"), "budget.latency_ms": 0.001}
    reason = sq.plan(sq.load_scenario("scenario.yaml", **changes)).reason
    settings = [part for key, value in changes.items() for part in ("--set", f"{key}={value}")]
    assert told(["scenario.yaml", *settings, "--out", str(tmp_path / "o")], capsys) == (INFEASIBLE, reason)


@pytest.mark.usefixtures("here")
def test_a_folder_of_others_is_refused_as_the_command_refuses_it(planned, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(sq.OutputError) as caught:
        planned.save(tmp_path)
    code, said = told(["scenario.yaml", "--out", str(tmp_path)], capsys)
    assert (code, said) == (BAD_INPUT, f"--out {caught.value}")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s, p: sq.solve(s), "problem: a Scenario is none; plan takes it; give a Problem, the path"),
        (lambda s, p: sq.solve(None), "problem: None is none; give a Problem, the path of a PROBLEM.json"),
        (lambda s, p: sq.load_problem([1]), "problem: a list is none; give a Problem"),
        (lambda s, p: sq.plan(p), "scenario: a Problem is none; solve takes it; give a Scenario, the path"),
        (lambda s, p: sq.load_scenario(None), "scenario: None is none; give a Scenario"),
        (lambda s, p: sq.compare(5), "scenario: 5 is none; give a Scenario"),
        (lambda s, p: sq.load_plan(s), "folder: a Scenario is no path"),
        (lambda s, p: sq.run(None, {}), "folder: None is no path"),
        (lambda s, p: p.save(3), "path: 3 is no path"),
        (lambda s, p: sq.plan(s, progress=True), "progress: True cannot be called; give a function of what"),
        (lambda s, p: sq.profile(s, progress=1), "progress: 1 cannot be called"),
        (lambda s, p: sq.compare(s, bandwidths=[1, 2], progress=[]), "progress: a list cannot be called"),
    ],
)
@pytest.mark.usefixtures("here")
def test_a_wrong_object_is_told_with_what_is_taken(call, message):
    problem = sq.load_problem(PROBLEM)
    with pytest.raises(sq.SplitquantError) as caught:
        call(sq.load_scenario("scenario.yaml"), problem)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sq.solve(PROBLEM, time_limit_s="5"), "time_limit_s '5': must be a number"),
        (lambda: sq.solve(PROBLEM, time_limit_s=0), "time_limit_s 0: must be seconds > 0"),
        (lambda: sq.solve(PROBLEM, solver="x"), "solver x: must be one of"),
        (
            lambda: sq.compare("scenario.yaml"),
            "nothing to compare: name bandwidths, noise, accuracy_drop, metric_drop, memory",
        ),
        (lambda: sq.compare("scenario.yaml", bandwidths=[]), "a list of values to compare is empty"),
        (lambda: sq.compare("scenario.yaml", bandwidths=[5], links="x"), "links x: no such link"),
        (lambda: sq.run("plans/mine", {}, stage=99), "stage 99: "),
    ],
)
@pytest.mark.usefixtures("here", "saved")
def test_messages_speak_of_parameters(call, message):
    with pytest.raises(sq.SplitquantError) as caught:
        call()
    assert str(caught.value).startswith(message)
