"""Solves a placement problem and bounds what any answer to it can cost.

backends: the solvers by name; CBC, Gurobi, CPLEX and SCIP are called here
best_wires: the forms in which tensors best cross links, units' devices and precisions given
confirmation: what a solver claims, held against costs, plans at hand and a second solver
device_order: what is decided of the order in which devices run
highs: HiGHS is called here, and its answer interpreted
infeasibility: a minimal set of limits that cannot hold together
one_device: the best plan with all units on one device, in mixed precision
pareto_front: Pareto fronts by epsilon-constraints
process_pool: a map over processes, which end at once when the work is interrupted
pulp_call: a solver called through pulp, and what pulp's status says
restricted_programs: integer programs over some options of each vertex
result: SolveResult: choice, objective, bound, status
second_opinion: a second solver's run and answer, to be compared with the first one's
single_precision: the fastest plan of all and in each precision, without a limit on noise
solve: the search for a proved optimum, or a plan and its bound
solve_cache: solved problems kept on disk
solver_options: which solver, how well, and the clock by which it ends
structural_conflict: what rules out every placement whatever the limits
"""
