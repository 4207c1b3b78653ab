"""A crash of native code ends in one line; over a unit, in a plan that leaves it in float."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")


def supervised(code: str, folder, **environment: str) -> subprocess.CompletedProcess:
    script = "from planner.cli.process.supervisor import run_supervised\n" + textwrap.dedent(code)
    return subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"XDG_CACHE_HOME": str(folder)} | environment,
    )


def test_the_exit_code_is_the_commands(tmp_path):
    done = supervised("import sys\nrun_supervised(lambda: sys.exit(3))", tmp_path)
    assert (done.returncode, done.stderr) == (3, "")


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
def test_a_crash_is_one_line(number, tmp_path):
    code = f"import os\nrun_supervised(lambda: os.kill(os.getpid(), {int(number)}))"
    done = supervised(code, tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "memory" in done.stderr if number == signal.SIGKILL else number.name in done.stderr


def test_after_a_crash_over_a_unit_the_command_runs_again_without_it(tmp_path):
    code = """
        import os
        from profiling.runtime.crash_journal import SUFFIX, CrashJournal
        from profiling.directories import cache_folder

        def command():
            journal = CrashJournal(cache_folder() / f"t{SUFFIX}")
            for unit in ("a", "b", "c"):
                if not journal.cause_of(unit):
                    with journal.entry(unit):
                        if unit != "b":
                            os.kill(os.getpid(), 11)

        run_supervised(command)
    """
    done = supervised(code, tmp_path)
    assert done.returncode == 0
    told = done.stderr.splitlines()
    assert ["over a," in told[0], "over c," in told[1]] == [True, True]


def test_nobody_is_blamed_for_what_another_command_tries(tmp_path):
    code = """
        import os
        from profiling.directories import cache_folder
        from profiling.runtime.crash_journal import SUFFIX

        def command():
            (cache_folder() / f"t{SUFFIX}").write_text(f'[{os.getpid() + 1}, "a"]\\n')
            os.kill(os.getpid(), 11)

        run_supervised(command)
    """
    done = supervised(code, tmp_path)
    assert done.returncode == 1
    assert "nothing was written" in done.stderr


def test_a_signal_reaches_the_command(tmp_path):
    code = """
        import os, signal, sys, time
        def command():
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
            print("ready", flush=True)
            time.sleep(30)
        run_supervised(command)
    """
    script = "from planner.cli.process.supervisor import run_supervised\n" + textwrap.dedent(code)
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 7


def test_where_python_was_at_a_crash_is_kept_in_a_file(tmp_path):
    code = """
        import os
        def deep_inside():
            os.kill(os.getpid(), 11)
        run_supervised(deep_inside)
    """
    done = supervised(code, tmp_path)
    (report,) = (tmp_path / "splitquant" / "errors").iterdir()
    assert str(report) in done.stderr
    assert "deep_inside" in report.read_text()


def test_where_the_system_cannot_fork_the_command_runs_in_this_process(tmp_path):
    code = """
        import os, sys
        del os.fork
        own = os.getpid()
        run_supervised(lambda: sys.exit(5 if os.getpid() == own else 6))
    """
    assert supervised(code, tmp_path).returncode == 5
