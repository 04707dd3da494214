"""What computes: the versions that the last bits of a result depend on."""

import platform

import keras
import numpy as np
import tensorflow as tf

from keras_graft.version import __version__


def versions() -> dict[str, str]:
    """Versions of this package, of what computes in it, and of Python."""
    return {
        "keras_graft": __version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
