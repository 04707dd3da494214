"""What Keras 3.15 lacks, and every private place that stands in for it.

`PRIVATE_PLACES` names each attribute, method and name of Keras and TensorFlow
that this package uses although nobody promises to keep it: where, and what
happens when it goes. `tests/distribution/test_private_places.py` has a canary
for each and holds the code to the table; `test_keras_gaps.py` beside it fails
once Keras needs a stand-in no more.
"""

import dataclasses
import logging
from collections.abc import Mapping
from typing import Annotated
from typing import Any

import keras
import msgspec
import tensorflow as tf

from keras_graft.distribution.workers import worker_of

_LOG = logging.getLogger(__name__)

_KERAS = "3.15."


@dataclasses.dataclass(frozen=True)
class PrivatePlace:
    """A place of Keras or TensorFlow that may go without notice.

    Attributes:
        name: The attribute, method or name, as it stands in the code.
        home: The files or folders that may use it.
        when_it_goes: What a user then meets.
    """

    name: str
    home: tuple[str, ...]
    when_it_goes: str


_GRAPH = ("structure/graph.py",)
_OPTIMIZERS = ("optimizers/",)
_ACCELERATION = ("acceleration/",)
_HERE = ("distribution/keras_gaps.py",)
_NO_GRAPH = "an AttributeError before the first step"
_OFF = "acceleration is off before: it is on for tested versions only"

PRIVATE_PLACES = (
    PrivatePlace(
        "_functional",
        _GRAPH,
        "sequential models count as having no graph: grafts go by the order "
        "of creation, which is said once",
    ),
    PrivatePlace("_nodes_by_depth", _GRAPH, _NO_GRAPH),
    PrivatePlace("_inbound_nodes", _GRAPH, _NO_GRAPH),
    PrivatePlace("_keras_history", _GRAPH, _NO_GRAPH),
    PrivatePlace(
        "_layers",
        _GRAPH,
        "convolutions inside of custom layers are not found, so not grafted "
        "or counted",
    ),
    PrivatePlace(
        "_metrics",
        _GRAPH,
        "metrics that networks and their layers hold are not in the logs",
    ),
    PrivatePlace(
        "_keras_mask",
        _GRAPH,
        "padded steps count in losses and metrics",
    ),
    PrivatePlace(
        "_trainable_variables",
        _OPTIMIZERS,
        "an AttributeError in the first step of optimizers with `use_ema`, "
        "or of networks that share a function",
    ),
    PrivatePlace(
        "_model_variables_moving_average",
        _OPTIMIZERS,
        "an AttributeError in the first graft or healing with `use_ema`",
    ),
    PrivatePlace(
        "_exclude_from_weight_decay",
        _OPTIMIZERS,
        "networks whose optimizers exclude other variables share an update",
    ),
    PrivatePlace(
        "_get_variable_index",
        _OPTIMIZERS,
        "an AttributeError in the first step of CoupledSGD with momentum",
    ),
    PrivatePlace("gradient_override_map", _ACCELERATION, _OFF),
    PrivatePlace("get_collection_ref", _ACCELERATION, _OFF),
    PrivatePlace("_gradient_op_type", _ACCELERATION, _OFF),
    PrivatePlace("_noinline", _ACCELERATION, _OFF),
    PrivatePlace("call_with_captures", _ACCELERATION, _OFF),
    PrivatePlace("state_mapping", _ACCELERATION, _OFF),
    PrivatePlace(
        "_maybe_symbolic_build",
        _HERE,
        "Keras builds from the first batch: on several replicas `fit` fails "
        "where that does not split evenly",
    ),
    PrivatePlace(
        "_ema_weights_in_model",
        _HERE,
        "a resumed run with SwapEMAWeights fails when it restores",
    ),
    PrivatePlace(
        "_direction",
        _HERE,
        "`monitor` is asked for its `mode` before training, unless it is a "
        "loss",
    ),
    PrivatePlace(
        "_batches_seen_since_last_saving",
        _HERE,
        "a resumed run with ModelCheckpoint fails when it restores",
    ),
    PrivatePlace(
        "_last_batch_seen",
        _HERE,
        "a resumed run with ModelCheckpoint fails when it restores",
    ),
)

_Count = Annotated[int, msgspec.Meta(ge=0)]
_Best = float | None

# What Keras' own callbacks remember, and of which form, as `msgspec` checks
# it: they cannot be asked for it (3.15).
STOCK_CALLBACKS: dict[type, dict[str, Any]] = {
    keras.callbacks.EarlyStopping: {
        "best": _Best,
        "best_epoch": _Count,
        "best_weights": list | None,
        "wait": _Count,
        "stopped_epoch": _Count,
    },
    keras.callbacks.ReduceLROnPlateau: {
        "best": _Best,
        "wait": _Count,
        "cooldown_counter": int,
    },
    keras.callbacks.ModelCheckpoint: {
        "best": _Best,
        "_batches_seen_since_last_saving": _Count,
        "_last_batch_seen": int | None,
    },
    keras.callbacks.SwapEMAWeights: {"_ema_weights_in_model": bool},
}


def warn_of_untested_keras() -> None:
    """Says that several workers were not tested with this Keras.

    A private method of it is replaced there, which nobody has looked at.
    """
    if not f"{keras.__version__}.".startswith(_KERAS):
        _LOG.warning(
            "Training on several workers was tested with Keras %sx only, and "
            "this is %s. Compare a short run with one worker first.",
            _KERAS,
            keras.__version__,
        )


def direction_of(metric: keras.metrics.Metric) -> str | None:
    """`"up"` or `"down"`, where Keras knows which value is better, or None."""
    return getattr(metric, "_direction", None)


def averages_are_swapped_in(callback: keras.callbacks.Callback) -> bool:
    """Whether a model holds averages of its weights, and the slots those.

    Args:
        callback: Any callback; `SwapEMAWeights` is one that swaps.
    """
    return bool(getattr(callback, "_ema_weights_in_model", False))


class Prebuilt:
    """Base of a model that is built when `fit` begins: Keras leaves it so."""

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        # Keras would build from the first batch here. Under a strategy that
        # fails when the batch does not split evenly, and on several workers
        # always; nor could it build N optimizers.
        del iterator, data_batch


class HiddenFromSaving:
    """Base of a model with attributes that Keras' saving must not follow.

    Keras walks all that `dir` names, in alphabetical order, and stores what
    holds variables under the first name that leads there.
    """

    hidden_from_saving: tuple[str, ...] = ()

    def __dir__(self):
        hidden = self.hidden_from_saving
        return [name for name in super().__dir__() if name not in hidden]


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
