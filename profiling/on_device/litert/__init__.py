"""What measures a bundle for LiteRT: standard library, NumPy and a LiteRT interpreter, Python 3.9.

interpreter: opens and runs models, with whichever package has the interpreter
litert_bundle: where the models of a bundle lie, and what opens and measures them
litert_timing: seconds of models, stages and groups of operators
measuring_litert: what is timed in which order, and the record that comes of it
model_pieces: models as pieces of one file, so that what they share is there once
"""
