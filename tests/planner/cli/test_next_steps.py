"""What is said to do next can be pasted into a shell."""

import shlex
from pathlib import Path

from planner.cli.commands import _next_steps


def test_commands_name_files_as_a_shell_reads_them():
    scenario, folder = Path("my net's.yaml"), Path("plans/a b")
    lines = _next_steps(scenario, folder)[1:]
    words = [shlex.split(line, comments=True) for line in lines]
    assert words[0][3:] == ["--input", str(scenario), "--output", "answers.npz"]
    assert [line[:3] for line in words] == [
        ["plan", "run", str(folder)],
        ["plan", "deploy", str(folder)],
        ["plan", "compare", str(scenario)],
    ]
