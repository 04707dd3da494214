"""Small networks that compute alike, and layers that keep more than weights."""

import keras


class Shift(keras.layers.Layer):
    """Adds a number that its config does not tell."""

    def __init__(self, by=0.0, **kwargs):
        super().__init__(**kwargs)
        self.by = by

    def call(self, x):
        return x + self.by


class Counter(keras.layers.Layer):
    """Counts its calls in a metric."""

    def __init__(self):
        super().__init__()
        self.calls = keras.metrics.Sum()

    def call(self, x):
        self.calls.update_state(1)
        return x


class Marked(keras.layers.Layer):
    """Marks its calls in a metric that it does not read."""

    def __init__(self):
        super().__init__()
        self.calls = keras.metrics.Sum("calls")

    def call(self, x):
        self.calls.total.assign(1.0)
        return x


class Often(keras.layers.Layer):
    """Uses its input four times."""

    def call(self, x):
        return x * keras.ops.sigmoid(x) + keras.ops.sin(x) - 0.3 * x


class Small(keras.layers.Layer):
    """Asks for small outputs."""

    def call(self, x):
        self.add_loss(1e-3 * keras.ops.mean(keras.ops.square(x)))
        return x


def regularised(seed, *extra, dropout=0.3):
    """A network with losses of its own, draws, and layers of a test."""
    init = keras.initializers.GlorotUniform
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(
        4,
        3,
        kernel_initializer=init(seed),
        kernel_regularizer=keras.regularizers.L2(1e-3),
    )(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dropout(dropout, seed=seed)(x)
    for layer in extra:
        x = layer(x)
    outputs = keras.layers.Dense(4, kernel_initializer=init(seed + 100))(x)
    return keras.Model(inputs, outputs)


def pooled(filters):
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(filters, 3),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(4),
        ]
    )


def frozen(seed, *extra):
    made = regularised(seed, *extra)
    made.layers[2].trainable = False
    return made
