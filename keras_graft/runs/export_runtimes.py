"""The runtimes that read exported files, each as a function of images."""

import os
import pathlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

_Call = Callable[[np.ndarray], np.ndarray]


class Runtime(NamedTuple):
    """What a format needs.

    Attributes:
        keras_name: The format as `keras.Model.export` names it.
        load: Takes a path; returns a function of images, float32, shape
            [n, height, width, channels], to logits, shape [n, classes].
    """

    keras_name: str
    load: Callable[[pathlib.Path], _Call]


def _saved_model(path):
    import tensorflow as tf

    # It holds the variables of its functions.
    loaded = tf.saved_model.load(os.fspath(path))
    return lambda images: loaded.serve(images).numpy()


def _onnx(path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Errors alone; it warns of devices that are not there.
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        path, options, providers=["CPUExecutionProvider"]
    )
    (name,) = [taken.name for taken in session.get_inputs()]
    return lambda images: session.run(None, {name: images})[0]


def _litert(path):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(os.fspath(path), num_threads=os.cpu_count())
    (taken,) = interpreter.get_input_details()
    (given,) = interpreter.get_output_details()

    def call(images):
        interpreter.resize_tensor_input(taken["index"], images.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(taken["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(given["index"])

    return call


RUNTIMES = {
    "saved_model": Runtime("tf_saved_model", _saved_model),
    "onnx": Runtime("onnx", _onnx),
    "litert": Runtime("litert", _litert),
}
