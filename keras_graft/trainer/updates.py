"""What a step does to the networks' variables."""

import contextlib
import os
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence

import keras
import tensorflow as tf

from keras_graft.distribution.replicas import all_finite
from keras_graft.distribution.replicas import joint_gradients
from keras_graft.optimizers.network_optimizers import scale_variables
from keras_graft.optimizers.network_optimizers import state_variables
from keras_graft.optimizers.network_optimizers import told_by_config
from keras_graft.trainer.guard import keep_where
from keras_graft.trainer.guard import snapshot


@contextlib.contextmanager
def tapes_of(
    networks: Sequence[keras.Model],
) -> Iterator[list[tf.GradientTape]]:
    """Within it, a tape for each network records what depends on it.

    One tape for all could not tell when a network's gradients are done.

    Args:
        networks: N models.
    """
    tapes = [tf.GradientTape(watch_accessed_variables=False) for _ in networks]
    with contextlib.ExitStack() as stack:
        for tape, network in zip(tapes, networks, strict=True):
            stack.enter_context(tape)
            tape.watch([v.value for v in network.trainable_variables])
        yield tapes


def update_all(
    networks: Sequence[keras.Model],
    optimizers: Sequence[keras.optimizers.Optimizer],
    tapes: Sequence[tf.GradientTape],
    losses: Sequence[tf.Tensor],
    before: Sequence[Sequence[tf.Tensor]],
    live: tf.Tensor,
    shared: bool,
) -> None:
    """Takes one step with each network, or none where it went wrong.

    Args:
        networks: N models.
        optimizers: Their optimizers, built.
        tapes: N tapes, each of which has watched one network's trainable
            variables.
        losses: N scalars to minimise, scaled as the optimizers want it.
        before: The values of each network's `non_trainable_weights` before
            the step.
        live: Shape (N,), float32: 1 for a network that takes part.
        shared: Whether the networks compute the same.
    """
    update = _update_of_each(networks, optimizers, shared)
    takes_part = tf.unstack(live)
    at_a_time = _networks_at_a_time()
    done: list[list[tf.Tensor]] = []
    for k, network in enumerate(networks):
        # Not all at once: each network's gradients take memory.
        with tf.control_dependencies(
            done[k - at_a_time] if k >= at_a_time else []
        ):
            gradients = tapes[k].gradient(
                losses[k], network.trainable_variables
            )
        done.append([g for g in gradients if g is not None][:1])
        update(k, gradients, before[k], takes_part[k])


def update(
    network: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    gradients: Sequence,
    before: Sequence[tf.Tensor],
    live: tf.Tensor,
) -> None:
    """Takes one step with a network, or none where it went wrong.

    Args:
        network: The network.
        optimizer: Its optimizer, built.
        gradients: This replica's gradients by trainable variable; None where
            there is none.
        before: See `update_all`.
        live: Scalar, float32: 1 for a network that takes part.
    """
    trainable = network.trainable_variables
    state = [*trainable, *state_variables(optimizer)]
    scale = scale_variables(optimizer)
    scale_before = snapshot(scale)
    before = [*before, *snapshot(state)]
    state = [*network.non_trainable_weights, *state]
    joint, unscaled = joint_gradients(optimizer, gradients)
    optimizer.apply(joint, trainable)
    after = snapshot(state)
    # What the update made tells of its gradient too. A look at the gradient
    # itself would keep TensorFlow from the rewrites that it makes in a plain
    # fit, and change the last bits.
    healthy = live * unscaled * all_finite(after)
    keep_where(healthy, state, after, before)
    keep_where(live, scale, snapshot(scale), scale_before)


def _networks_at_a_time():
    """One where an operation has all threads, else one for each thread."""
    threads = tf.config.threading
    # TensorFlow takes an empty variable for one that is not set.
    of_operation = threads.get_intra_op_parallelism_threads() or int(
        os.environ.get("TF_NUM_INTRAOP_THREADS") or 0
    )
    side_by_side = threads.get_inter_op_parallelism_threads() or int(
        os.environ.get("TF_NUM_INTEROP_THREADS") or 0
    )
    return max(1, side_by_side) if of_operation == 1 else 1


def _update_of_each(networks, optimizers, shared) -> Callable:
    """`update` as a function of a network's position and what follows."""
    trace = None

    def plain(k, *given):
        update(networks[k], optimizers[k], *given)

    # TensorFlow would otherwise copy its operations into the caller's graph.
    @tf.function(autograph=False, experimental_attributes={"_noinline": True})
    def of_first(*given):
        plain(0, *given)

    def through_one_function(k, *given):
        nonlocal trace
        trace = trace or of_first.get_concrete_function(*given)
        keys = [handle.ref() for handle in handles(0)]
        own = dict(zip(keys, handles(k), strict=True))
        captures = [
            own[t.ref()] if t.dtype == tf.resource else t
            for t in trace.captured_inputs
        ]
        trace.inference_fn.call_with_captures(given, {}, captures)

    def handles(k):
        variables = [*networks[k].variables, *optimizers[k].variables]
        return [variable.value.handle for variable in variables]

    if shared and told_by_config(optimizers, networks):
        return through_one_function
    return plain
