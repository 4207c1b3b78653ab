"""What runs in the process with TensorFlow; nobody outside imports it.

exception_text: what TensorFlow's and Keras' exceptions say, in one line
freeze_variables: A traced function with its variables made constants
integer_clips: activations before a quantizer -> clips of integers, so that kernels are int8
keras_applications: networks of keras.applications by name
keras_loader: Keras models and weights from files
keras_tracing: a Keras model -> a function whose operations carry layer names
layer_names: nodes and tensors of a converted graph named by the layers that they come from
main: the process: reads a request, converts, writes the answer
missing_operators: operators that tf2onnx lacks or converts wrongly
plain_tflite: TFLite files with sparse, packed or outlying constants -> plain ones
qat_weights: weights of quantization-aware models on their own integer grid
random_weights: batch-norm statistics for random weights, so that noise behaves as in trained nets
remove_reshapes: drops reshapes that change nothing
saved_model: a frozen graph as a SavedModel of one file
tf2onnx_export: A frozen TensorFlow graph, or a TFLite file -> an ONNX model, through tf2onnx
tf2onnx_patches: tf2onnx with two faults mended
tf_functions: TensorFlow functions -> functions of static shapes
to_tflite: a traced function to a `.tflite` file
tflite_model: a TFLite file that can be asked, with its inputs and outputs
traced_function: A model as a TensorFlow function with named ends, whatever it came from
wide_integers: int16x8 quantizers of TFLite -> what ONNX Runtime runs
"""
