"""Exit codes of the command."""

OK = 0
BAD_INPUT = 1  # a file, model, scenario or sample; also what nobody foresaw
USAGE = 2  # of options
INFEASIBLE = 3  # no plan keeps the budgets
BROKEN_BUDGET = 4  # the plan broke an error budget on the evaluation data; nothing is delivered
INTERRUPTED = 130  # as a shell reports SIGINT
