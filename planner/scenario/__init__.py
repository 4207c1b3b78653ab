"""What people write: the schema of a scenario, loading it, checking it.

budget_schema: `budget` and `objective`
changes: values in place of those of a scenario, and Python values as a scenario holds them
cross_checks: what is wrong between keys, by subject
data_schema: `data`: samples, labels, image preparation
device_schema: `devices`, and `quantization`
field_types: what all schemas share: no unknown keys, frozen
file_kind: tells what a file is that was given instead of a scenario, and which command takes it
fleet_schema: `fleet`: classes of a device, and their bandwidths
link_schema: `links`
loader: YAML or a mapping, and changes -> Scenario
metric_schema: `metric`
missing_files: files and modules that a scenario names and that are not there
model_paths: what a scenario calls its model, and the paths in it made absolute
models_schema: the keys of a scenario of several models
partial_scenario: what can be read of a scenario that has faults, so that the rest is checked too
schema: the scenario as pydantic models, with what has no module of its own
several_models: a scenario of several models -> one scenario per model, and what they share
validation: checks a scenario whole, and gives its JSON Schema
validation_messages: faults in lines with key, file, line and column
yaml_text: YAML text from outside -> plain values, within bounds that are checked before anything is built
"""
