import subprocess
from importlib.metadata import version

import pytest

from planner.cli.commands import main


@pytest.fixture
def call(capsys):
    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        return (int(ended.value.code or 0), *capsys.readouterr())

    return run


def test_help_of_a_command_is_what_its_option_shows(call):
    for command in (("compare",), ("cache", "clear"), ()):
        assert call("help", *command) == call(*command, "--help")


def test_help_of_what_is_no_command_names_those_that_are(call):
    code, out, err = call("help", "comparison")
    assert (code, out) == (2, "")
    assert err.startswith("no command 'comparison'; there are ")
    assert "compare" in err


@pytest.mark.parametrize("flag", ["-V", "--version"])
def test_the_version_is_that_of_the_distribution(call, flag):
    assert call(flag) == (0, version("splitquant") + "\n", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script_that_knows_the_commands(call, shell):
    code, out, _ = call("completion", shell)
    assert code == 0
    assert all(word in out for word in ("plan", "compare", "bandwidth"))


def test_bash_takes_its_script(call):
    _, script, _ = call("completion", "bash")
    command = f"{script}\ncomplete -p plan"
    done = subprocess.run(["bash", "-c", command], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "complete -F _plan plan"


def test_an_unknown_shell_is_refused(call):
    code, out, err = call("completion", "tcsh")
    assert (code, out) == (2, "")
    assert "bash" in err


def test_what_is_too_much_is_named(call):
    code, out, err = call("a.yaml", "b c.yaml")
    assert (code, out) == (2, "")
    assert err == "too many arguments: 'b c.yaml' (plan --help shows how)\n"
