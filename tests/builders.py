"""Small networks that tests of several parts make."""

import keras
from keras import layers


def functional(*last):
    inputs = keras.Input((4,))
    x = layers.Dense(5, activation="relu")(inputs)
    for layer in last:
        x = layer(x)
    return keras.Model(inputs, x)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.classifier = layers.Dense(3, activation="softmax")

    def call(self, x):
        return self.classifier(x)
