"""The Lagrangian relaxation: multipliers, the dual bound, and what it rules out.

branching: branch and bound on the order of devices and on units' devices
dual_bound: the multipliers at which the bound is highest (column generation), and what it proves
dual_problem: rows with a multiplier each, and the plans that are left to the relaxation
elimination_order: the order in which variables leave a sum of tables
flow_costs: what tensors spend, as tables over the options of those that touch them
kept_options: the options that a bound leaves, and a bound on plans with any other
linear_quantity: what a second, a byte or a joule counts in a quantity
option_table: costs of all options in a row, and which of them differ to tensors
path_lengths: how long a request takes along paths of units, as tables
path_regions: where paths part and meet again, so that what one device works between adds up
path_master: the linear program that mixes plans where makespans count the longest path
relaxation: the problem without limits: a sum of tables over neighbouring units
restricted_master: the linear program of the plans met so far, for the next multipliers
separate_units: whether limits contradict each other, for graphs of any width
serial_devices: branching on the devices whose work every path waits for
table_stack: tables of equal shape in one array
tree_decomposition: the least sum of tables over a few variables each
"""
