"""Networks of own classes, for processes that know nothing of keras_graft."""

import keras
from keras import layers


@keras.saving.register_keras_serializable(package="subclassed_networks")
class Subclassed(keras.Model):
    """A convolution, BatchNormalization and Dense, called one by one."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.conv = layers.Conv2D(8, 3, use_bias=False)
        self.norm = layers.BatchNormalization()
        self.classifier = layers.Dense(3)

    def call(self, images, training=False):
        x = self.norm(self.conv(images), training=training)
        return self.classifier(keras.ops.mean(keras.ops.relu(x), axis=(1, 2)))
