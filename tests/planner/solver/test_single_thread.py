import highspy

from planner.solver.single_thread import run_on_one_thread


def model(threads: int) -> highspy.Highs:
    highs = highspy.Highs()
    for option, value in (("output_flag", False), ("threads", threads)):
        highs.setOptionValue(option, value)
    highs.changeColCost(highs.addVariable(2, 5).index, 1.0)
    return highs


def test_a_model_runs_whatever_number_of_threads_ran_before():
    highspy.Highs.resetGlobalScheduler(True)
    model(2).run()
    refused = model(1)
    refused.run()
    assert refused.getModelStatus() == highspy.HighsModelStatus.kNotset  # or nothing is tested here
    again = model(1)
    run_on_one_thread(again)
    assert again.getInfo().objective_function_value == 2


def test_a_model_that_cannot_be_solved_says_so():
    highs = model(1)
    highs.addRow(6, 7, 1, [0], [1.0])
    run_on_one_thread(highs)
    assert highs.getModelStatus() == highspy.HighsModelStatus.kInfeasible
