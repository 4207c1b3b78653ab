import subprocess
import sys

import highspy

from planner.solver.highs import QuietHighs

_MAKES = "from planner.solver.highs import QuietHighs; QuietHighs().run_alone()"


def lowest(model: highspy.Highs, least: float) -> highspy.Highs:
    model.changeColCost(model.addVariable(least, 5).index, 1.0)
    return model


def on_threads(number: int) -> highspy.Highs:
    model = highspy.Highs()
    for option, value in (("output_flag", False), ("threads", number)):
        model.setOptionValue(option, value)
    return lowest(model, 1)


def test_a_model_runs_whatever_number_of_threads_ran_before():
    highspy.Highs.resetGlobalScheduler(True)
    on_threads(2).run()
    refused = on_threads(1)
    refused.run()
    assert refused.getModelStatus() == highspy.HighsModelStatus.kNotset  # or nothing is tested here
    model = lowest(QuietHighs(), 2)
    model.run_alone()
    assert model.getInfo().objective_function_value == 2


def test_a_model_that_cannot_be_solved_says_so():
    model = lowest(QuietHighs(), 1)
    model.addRow(6, 7, 1, [0], [1.0])
    model.run_alone()
    assert model.getModelStatus() == highspy.HighsModelStatus.kInfeasible


def test_nothing_is_printed_not_even_when_the_first_model_of_a_process_is_made():
    done = subprocess.run([sys.executable, "-c", _MAKES], check=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")
