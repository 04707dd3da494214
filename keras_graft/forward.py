"""What the networks make of a batch.

TensorFlow traces, rewrites and prepares every operation of a step, which takes
longer than the step itself, and longer still where N networks make a graph N
times as large. Networks that are built alike therefore share one function that
is given the variables of each in turn: all of that is done once.
"""

import contextlib
import dataclasses
import inspect
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_graft.architectures import built_alike
from keras_graft.convolution_gradients import convolution_gradients
from keras_graft.distillation import DistillationTerm
from keras_graft.distillation import FeatureTaps
from keras_graft.recomputation import recomputation
from keras_graft.traces import same_computation


@dataclasses.dataclass(frozen=True)
class Predictions:
    """What N networks made of a batch, an entry for each of them.

    Attributes:
        outputs: Tensors of shape (batch, units).
        features: The outputs of the tapped layers by name, or None.
        losses: Lists of the networks' own losses (regularisers), scalars.
        shared: Whether one function computed all of it.
    """

    outputs: list[tf.Tensor]
    features: list[dict[str, tf.Tensor]] | None
    losses: list[list[tf.Tensor]]
    shared: bool

    def first(self, size: tf.Tensor) -> "Predictions":
        """The same with the outputs of `size` examples."""
        outputs = [output[:size] for output in self.outputs]
        return dataclasses.replace(self, outputs=outputs)


def forward(network: keras.layers.Layer, x: Any, training: bool) -> tf.Tensor:
    """Calls a network, with `training` where it takes that argument."""
    parameters = inspect.signature(network.call).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    if "training" in parameters or takes_any:
        return network(x, training=training)
    return network(x)


def feature_taps(
    networks: Sequence[keras.Model], terms: Sequence[DistillationTerm]
) -> FeatureTaps | None:
    """The taps that the terms need, or None if they look at no inner layer.

    Args:
        networks: N built models.
        terms: The distillation terms that are in the graph.

    Raises:
        ValueError: If a network lacks a layer that a term looks at.
    """
    names = [name for term in terms for name in term.feature_layers]
    return FeatureTaps(networks, names) if names else None


def forward_all(
    networks: Sequence[keras.Model],
    views: Sequence[Any],
    training: bool,
    taps: FeatureTaps | None = None,
    share: bool = True,
    recompute: bool = True,
) -> Predictions:
    """Calls each network once, on its view.

    Args:
        networks: N built models.
        views: N inputs.
        training: Whether the networks train.
        taps: What `feature_taps` returned.
        share: Whether networks that compute the same share a function, where
            TensorFlow traces without a strategy. The outputs are the same,
            and the gradients but for the order in which three or more are
            added up, and for `convolution_gradients`.
        recompute: Whether such a function has its `recomputation`, too.
    """

    def calls(k):
        def call(x):
            if taps is None:
                return forward(networks[k], x, training), {}
            return taps(k, x, training)

        return call

    each = [calls(k) for k in range(len(networks))]
    found = None
    if share:
        found = _through_one_function(
            networks, each, views, recompute, taps is None
        )
    shared = found is not None
    if not shared:
        found = [
            (*call(x), network.losses)
            for network, call, x in zip(networks, each, views, strict=True)
        ]
    outputs, features, losses = (
        list(part) for part in zip(*found, strict=True)
    )
    return Predictions(outputs, features if taps else None, losses, shared)


def _through_one_function(
    networks: Sequence[keras.Model],
    calls: Sequence[Callable],
    views: Sequence[Any],
    recompute: bool,
    untapped: bool,
) -> list | None:
    """Calls networks that compute the same; None if they do not.

    Of networks that are built alike one is traced, where nothing is tapped.
    Else their traces tell: each network is traced, which takes a tenth of
    what TensorFlow goes on to do with a trace.
    """
    if (
        (len(networks) == 1 and not _gains_alone(networks[0]))
        or tf.executing_eagerly()
        # Replicas cannot wait for each other inside a function.
        or tf.distribute.has_strategy()
        or any(_shapes(n) != _shapes(networks[0]) for n in networks)
    ):
        return None
    specs = [tf.nest.map_structure(tf.type_spec_from_value, x) for x in views]
    alike = (
        untapped
        and all(spec == specs[0] for spec in specs)
        and built_alike(networks)
    )

    def trace(k):
        function = _on_given_variables(networks[k], calls[k], recompute)
        return function.get_concrete_function(
            *_variables(networks[k]), views[k]
        )

    try:
        first = trace(0)
        if not alike and not all(
            same_computation(first, trace(k)) for k in range(1, len(networks))
        ):
            return None
    except _OtherStateError:
        return None
    return [
        first(*_variables(network), x)
        for network, x in zip(networks, views, strict=True)
    ]


def _gains_alone(network):
    """Whether a lone network is faster in a function, too.

    In float32 it takes longer, the more memory the longer; in bfloat16
    `convolution_gradients` outweigh that.
    """
    return network.compute_dtype == "bfloat16" and not _has_gpu()


def _has_gpu():
    return bool(tf.config.list_physical_devices("GPU"))


def _variables(network):
    return [
        [variable.value for variable in variables]
        for variables in (
            network.trainable_variables,
            network.non_trainable_variables,
        )
    ]


def _shapes(network):
    return [
        [(variable.shape, variable.dtype) for variable in variables]
        for variables in _variables(network)
    ]


class _OtherStateError(Exception):
    """A network changes variables that are not its own."""


def _on_given_variables(network, call, recompute):
    """The network's call as a function that is given the variables.

    Raises:
        _OtherStateError: When it is traced, if the call changes others.
    """
    trainable, others = (
        network.trainable_variables,
        network.non_trainable_variables,
    )

    # TensorFlow would otherwise copy its operations into the caller's graph.
    @tf.function(autograph=False, experimental_attributes={"_noinline": True})
    def on_given(given_trainable, given_others, x):
        values = [
            tf.convert_to_tensor(variable) for variable in given_trainable
        ]
        # Results of the function that have no gradient would make it another
        # function in each place where it is called.
        before = [
            tf.stop_gradient(tf.convert_to_tensor(variable))
            for variable in given_others
        ]
        x = tf.nest.map_structure(tf.stop_gradient, x)
        given = keras.StatelessScope(
            [
                *zip(trainable, values, strict=True),
                *zip(others, before, strict=True),
            ],
            collect_losses=True,
        )
        with given as scope, _gradients(recompute):
            outputs, features = call(x)
            losses = list(network.losses)
        own = {id(variable) for variable in [*trainable, *others]}
        if not own.issuperset(scope.state_mapping):
            # What it makes of them would be lost.
            raise _OtherStateError
        for variable, target, old in zip(
            others, given_others, before, strict=True
        ):
            new = scope.get_current_value(variable)
            if new is not old:
                target.assign(new)
        return outputs, features, losses

    return on_given


@contextlib.contextmanager
def _gradients(recompute: bool) -> Iterator[None]:
    """Gradients of our own on CPUs; on a GPU they gained no speed."""
    if _has_gpu():
        yield
        return
    with contextlib.ExitStack() as stack:
        stack.enter_context(convolution_gradients())
        if recompute:
            stack.enter_context(recomputation())
        yield
