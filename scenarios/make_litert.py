"""Trains the quickstart network again and writes it as a Keras file and as `.tflite`.

Run from the repository, with the extras [tensorflow,test] installed; its data are the quickstart's:

    python scenarios/make_litert.py
"""

from pathlib import Path

import keras
import tensorflow as tf
from make_quickstart import trained_network

_FOLDER = Path(__file__).parent / "litert"


def main() -> None:
    """Train, convert and write both files."""
    model = trained_network()
    _FOLDER.mkdir(exist_ok=True)
    model = keras.Model(model.inputs, model.outputs)  # without what it was trained with
    model.save(_FOLDER / "digits.keras")
    batch = tf.TensorSpec((1, *model.inputs[0].shape[1:]), tf.float32, name="picture")

    @tf.function(input_signature=[batch], autograph=False)
    def answer(picture: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"logits": model(picture, training=False)}

    owner = tf.Module()
    owner.held = [variable.value for variable in model.variables]
    converter = tf.lite.TFLiteConverter.from_concrete_functions([answer.get_concrete_function()], owner)
    (_FOLDER / "digits.tflite").write_bytes(converter.convert())


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    main()
