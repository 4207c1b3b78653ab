"""From Keras and TensorFlow to ONNX: what is asked, and the modules that the process with TensorFlow runs."""
