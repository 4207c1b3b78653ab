"""What is wrong between the keys of a scenario, by subject.

fleet_faults: what is wrong between the keys of a fleet
runtime_faults: what does not go with the runtime of a device
"""
