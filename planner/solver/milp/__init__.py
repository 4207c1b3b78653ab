"""The mixed-integer linear program of a placement problem.

answer: the choice that the variables of a solved program stand for
assignment_constraints: groups, formats, order of stages
build_program: builds the whole program
conversion_constraints: quantizing, dequantizing, and boundaries of stages
edge_seconds: seconds of a tensor on its way to one consumer
makespan_constraints: stages that overlap
objective_and_limits: what is minimised and limited: sums over accounts, noise, peaks, period
option_variables: one option per vertex
p_median: which few of many candidates serve all at the least cost
path_constraints: paths of units, none of which takes longer than the makespan
program: the program under construction: variables, rows, cost accounts
transport_constraints: tensors over links
warm_start: a known plan as values to start from
"""
