"""Models in and out: loading, large weights, subgraphs, names, extracting.

branch_shapes: branches of an If that fit another rank
element_types: ONNX element types, by what can be done with their tensors
external_weights: large weights outside the ModelProto
extract: submodels between given tensors
input_shapes: static shapes of inputs: declared, given, a batch of one
load_model: an ONNX file, loaded, cleaned and checked, with static input shapes
subgraphs: nested graphs and the names that they capture
unique_names: names of our own making that nothing else in a model has
"""
