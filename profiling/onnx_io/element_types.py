"""ONNX element types, by what can be done with their tensors."""

from onnx import TensorProto

NUMPY_TYPES = frozenset(
    {
        TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BOOL,
        TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64,
        TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64,
    }
)  # fmt: skip
"""Types that NumPy has itself: such tensors can be written to a file and handed from one stage to another.

ONNX's others are text, halves of another format (bfloat16), and numbers of 8 bits and fewer that are no
integers of whole bytes.
"""
