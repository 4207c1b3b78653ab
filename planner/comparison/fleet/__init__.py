"""The plans to hold for a fleet: classes of a device, each with its bandwidths.

class_scenario: the scenario of one class, its device in place of the fleet's
fleet_axis: the plans of a fleet in which only the bandwidth varies, or only the speed
fleet_classes: the classes of a scenario's fleet, and the problem of each at each bandwidth
fleet_plans: the plans to hold for a fleet, and what each class at each bandwidth costs with them
fleet_records: the plans of a fleet in compare.json
fleet_rules: which plan a class runs from which bandwidth to which
fleet_selection: candidates, the exact choice of a few of them, and a bound
"""
