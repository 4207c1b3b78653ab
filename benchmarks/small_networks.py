"""Small networks for pictures as Keras builds them, with random weights from a fixed seed."""

import keras


def resnet20() -> keras.Model:
    """Return the residual network of 20 layers for 32 x 32 x 3 pictures."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((32, 32, 3), name="picture")
    x = _convolved(inputs, 16)
    for block in range(9):
        filters, stride = 16 << block // 3, 2 if block in (3, 6) else 1
        branch = _normed(_convolved(x, filters, stride), filters)
        straight = x if stride == 1 else keras.layers.Conv2D(filters, 1, stride)(x)
        x = keras.layers.ReLU()(keras.layers.Add()([straight, branch]))
    return _answer(inputs, x, 10)


def ds_cnn() -> keras.Model:
    """Return four depthwise-separable blocks for 48 x 48 x 3 pictures, as keyword spotters have them."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((48, 48, 3), name="picture")
    x = _convolved(inputs, 64, stride=2, kernel=(10, 4))
    for _ in range(4):
        x = keras.layers.DepthwiseConv2D(3, padding="same", depthwise_initializer="he_normal")(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
        x = _convolved(x, 64, kernel=1)
    return _answer(inputs, x, 12)


def _convolved(x: object, filters: int, stride: int = 1, kernel: int | tuple[int, int] = 3) -> object:
    return keras.layers.ReLU()(_normed(x, filters, stride, kernel))


def _normed(x: object, filters: int, stride: int = 1, kernel: int | tuple[int, int] = 3) -> object:
    x = keras.layers.Conv2D(
        filters, kernel, stride, padding="same", use_bias=False, kernel_initializer="he_normal"
    )(x)
    return keras.layers.BatchNormalization()(x)


def _answer(inputs: object, x: object, classes: int) -> keras.Model:
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(classes, name="logits")(x))
