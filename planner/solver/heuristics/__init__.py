"""Finds and improves plans without a bound, so that a search never ends without a plan.

construct: a first plan within the limits
incremental_evaluation: the cost of a choice, kept up to date while options change
local_search: a better plan by changes of units, segments and wires
"""
