"""A plan folder is data from outside: whatever is changed in it is one line, or changes no answer."""

import copy
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from npz_archives import arrays_of
from small_scenarios import write_small_scenario

from planner.cli.commands import main

VALUES = (None, -1, 10**40, "x\x1b[1m", [], {}, 1.5, True, "../../etc/passwd", "float64", [[[[]]]])
DELETED = object()
Place = tuple[str | int, ...]


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as done:
        main([str(a) for a in arguments])
    return done.value.code


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a plan on two devices, samples, and the answers of the plan."""
    folder = tmp_path_factory.mktemp("tampered")
    write_small_scenario(folder)
    assert run(folder / "s.yaml", "--out", folder / "plan") == 0
    assert run("run", folder / "plan", "--input", folder / "e.npz", "--output", folder / "right.npz") == 0
    return folder


def places(value: object, above: Place = ()) -> Iterator[Place]:
    """Yield where something stands in a JSON document, from the top."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inside:
        yield (*above, key)
        yield from places(one, (*above, key))


def changed(document: object, at: Place, value: object) -> object:
    document = copy.deepcopy(document)
    here = document
    for key in at[:-1]:
        here = here[key]
    if value is DELETED:
        del here[at[-1]]
    elif value == "doubled" and isinstance(here, list):
        here.append(copy.deepcopy(here[at[-1]]))
    else:
        here[at[-1]] = value
    return document


def tampered(place: Path, file: str, count: int) -> Iterator[tuple[str, Path]]:
    """Yield what was changed, and the folder."""
    document = json.loads((place / "plan" / file).read_text())
    jobs = [(at, value) for at in places(document) for value in (DELETED, "doubled", *VALUES)]
    folder = place / "copy"
    shutil.copytree(place / "plan", folder, dirs_exist_ok=True)
    for at, value in random.Random(3).sample(jobs, min(count, len(jobs))):
        (folder / file).write_text(json.dumps(changed(document, at, value)))
        shown = "nothing" if value is DELETED else repr(value)
        yield f"{'.'.join(map(str, at))} is {shown}", folder
    shutil.copyfile(place / "plan" / file, folder / file)


def check_refusal(code: int, err: str, what: str) -> None:
    assert code in (1, 4), what
    assert len(err.splitlines()) == 1, (what, err)
    assert "internal error" not in err, (what, err)
    assert "Traceback" not in err, (what, err)
    assert "\x1b" not in err, what


def test_a_changed_manifest_is_refused_or_changes_no_answer(place, capsys):
    right = arrays_of(place / "right.npz")
    output = place / "answers.npz"
    for what, folder in tampered(place, "manifest.json", 250):
        output.unlink(missing_ok=True)
        code = run("run", folder, "--input", place / "e.npz", "--output", output)
        err = capsys.readouterr().err
        if code == 0:
            got = arrays_of(output)
            assert sorted(got) == sorted(right), what
            assert all(np.array_equal(got[name], right[name]) for name in right), what
        else:
            check_refusal(code, err, what)


@pytest.mark.parametrize("file", ["manifest.json", "plan.json"])
def test_verify_and_export_tell_a_change_in_one_line(file, place, capsys):
    for what, folder in tampered(place, file, 25):
        for command in (("verify", folder), ("export", folder / "plan.json", "--out", place / "exported")):
            code = run(*command)
            err = capsys.readouterr().err
            if code != 0:
                check_refusal(code, err, f"{command[0]}: {what}")


@pytest.mark.parametrize("value", [*VALUES, "", [["precisions"]]], ids=repr)
@pytest.mark.parametrize("command", ["verify", "export", "diff", "reproduce"])
def test_a_plan_whose_scenario_is_none_is_refused_in_one_line(command, value, place, capsys):
    folder = place / "copy"
    shutil.copytree(place / "plan", folder, dirs_exist_ok=True)
    (folder / "plan.json").write_text(
        json.dumps(changed(json.loads((folder / "plan.json").read_text()), ("scenario",), value))
    )
    commands = {
        "verify": ("verify", folder),
        "export": ("export", folder / "plan.json", "--out", place / "exported"),
        "diff": ("diff", place / "plan", folder),
        "reproduce": (place / "s.yaml", "--reproduce", folder / "plan.json"),
    }
    check_refusal(run(*commands[command]), capsys.readouterr().err, command)


@pytest.mark.parametrize("key", ["source", "sink"])
@pytest.mark.parametrize("value", [[], None, 3])
def test_a_plan_whose_scenario_ends_nowhere_is_refused_in_one_line(key, value, place, capsys):
    folder = place / "copy"
    shutil.copytree(place / "plan", folder, dirs_exist_ok=True)
    document = json.loads((folder / "plan.json").read_text())
    document["scenario"][key] = value
    (folder / "plan.json").write_text(json.dumps(document))
    code = run("verify", folder)
    check_refusal(code, capsys.readouterr().err, key)


def test_a_stage_outside_the_folder_is_refused_even_with_its_hash(place, capsys):
    folder = place / "outside"
    shutil.copytree(place / "plan", folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    stage = manifest["stages"][0]
    shutil.move(folder / stage["file"], place / "own.onnx")
    for path in ("../own.onnx", str(place / "own.onnx")):
        stage["file"] = path
        (folder / "manifest.json").write_text(json.dumps(manifest))
        assert run("run", folder, "--input", place / "e.npz", "--output", place / "o.npz") == 1
        assert "outside the folder" in capsys.readouterr().err
