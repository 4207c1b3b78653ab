"""The mixed-integer linear program of a placement problem.

answer: the solver's answer to the integer program, read off its variables
assignment_constraints: one option per unit, groups, formats, order of stages
builder: the program under construction: variables, rows, cost accounts
conversion_constraints: quantizing, dequantizing, and boundaries of stages
model: builds the whole program
objective_and_limits: what is minimised and limited
transport_constraints: tensors over links
warm_start: a known plan as values to start from
"""
