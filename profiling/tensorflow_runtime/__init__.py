"""Stages that TensorFlow runs, in float: cut from a frozen graph, as SavedModels of one file each.

TensorFlow runs in a process of its own; arrays go there and back.

saved_model_graph: a SavedModel's operators, and what is cut from it
stage_times: seconds of stages in that process
tensorflow_model: what planning asks of a model that TensorFlow runs
tensorflow_process: the process with TensorFlow, and what it is asked
tensorflow_session: a SavedModel as a session that runs requests
"""
