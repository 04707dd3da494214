"""What Keras 3.15 lacks to train on several replicas and workers.

All that stands in for Keras' own private methods is here. For each of them
`tests/distribution/test_keras_gaps.py` has a test that fails once Keras needs
it no more.
"""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from keras_graft.distribution.workers import worker_of

_KERAS = "3.15."


def check_keras_version() -> None:
    """Refuses a Keras whose private methods nobody has looked at.

    Raises:
        ValueError: If Keras is another one than 3.15.
    """
    if not keras.__version__.startswith(_KERAS):
        raise ValueError(
            f"Training on several workers is made for Keras {_KERAS}x: it "
            "replaces private methods of it. Received: Keras "
            f"{keras.__version__}. Install keras>=3.15,<3.16."
        )


class Prebuilt:
    """Base of a model that is built when `fit` begins: Keras leaves it so."""

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        # Keras would build from the first batch here. Under a strategy that
        # fails when the batch does not split evenly, and on several workers
        # always; nor could it build N optimizers.
        del iterator, data_batch


def reducible(
    logs: Mapping[str, tf.Tensor], strategy: Any
) -> dict[str, tf.Tensor]:
    """The logs of a step in the shape that Keras can reduce.

    On several workers Keras reduces each log over its first axis, also one
    that has none.

    Args:
        logs: Scalars by name.
        strategy: The strategy that the step runs under.

    Returns:
        The same scalars, or on several workers tensors of shape (1,).
    """
    if worker_of(strategy).count == 1:
        return dict(logs)
    return {name: tf.expand_dims(log, 0) for name, log in logs.items()}
