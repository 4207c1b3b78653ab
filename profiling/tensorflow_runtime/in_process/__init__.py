"""What runs in the process with TensorFlow; nobody outside imports it but the one that converts models.

graph_files: frozen graphs as SavedModels of one file, and parts of them
main: answers what comes over a connection
running: functions of parts of graphs, run and timed
"""
