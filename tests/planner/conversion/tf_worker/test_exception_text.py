"""What is told of an exception of TensorFlow or Keras."""

import pytest

from planner.conversion.tf_worker.exception_text import framework_error_line

_FRAMED = """in user code:

    File "keras_trace.py", line 35, in function  *
        answer = model(x)

    TypeError: Exception encountered when calling Kron.call().

    \x1b[1m'SymbolicTensor' object cannot be interpreted as an integer\x1b[0m

    Arguments received by Kron.call():
"""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("no such luck.\nmore", "no such luck"),
        ("", "ValueError"),
        ("Traceback (most recent call last):\n  File 'a.py'\nbad shape", "bad shape"),
        ("Exception encountered when calling Kron.call().", "Exception encountered when calling Kron.call()"),
    ],
)
def test_the_first_line_that_says_something_is_told(text, told):
    assert framework_error_line(ValueError(text)) == told


def test_the_layer_that_was_called_stands_in_front_of_its_fault():

    assert framework_error_line(TypeError(_FRAMED)) == (
        "Kron.call(): 'SymbolicTensor' object cannot be interpreted as an integer"
    )
