"""What a step does to the networks' variables."""

import contextlib
import os
from collections.abc import Iterator
from collections.abc import Sequence

import keras
import tensorflow as tf

from keras_graft.acceleration.shared_update import update_of_each
from keras_graft.distribution.replicas import all_finite
from keras_graft.distribution.replicas import joint_gradients
from keras_graft.trainer.guard import changed_by_step
from keras_graft.trainer.guard import keep_where
from keras_graft.trainer.guard import values


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
) -> tuple[tf.Tensor, tf.Tensor]:
    """Takes one step with each network, or none where it went wrong.

    Args:
        networks: N models.
        optimizers: Their optimizers, built.
        tapes: N tapes, each of which has watched one network's trainable
            variables.
        losses: N scalars to minimise, scaled as the optimizers want it.
        before: What `snapshots` returned before the step.
        live: Shape (N,), float32: 1 for a network that takes part.
        shared: Whether the networks compute the same.

    Returns:
        `(unscaled, healthy)`: what `update` returns, of all networks; shape
        (N,) each.
    """
    step = update_of_each(update, networks, optimizers, shared)
    takes_part = tf.unstack(live)
    at_a_time = _networks_at_a_time()
    done: list[list[tf.Tensor]] = []
    went = []
    for k, network in enumerate(networks):
        # Not all at once: each network's gradients take memory.
        with tf.control_dependencies(
            done[k - at_a_time] if k >= at_a_time else []
        ):
            gradients = tapes[k].gradient(
                losses[k], network.trainable_variables
            )
        done.append([g for g in gradients if g is not None][:1])
        went.append(step(k, gradients, before[k], takes_part[k]))
    unscaled, healthy = tf.unstack(tf.stack(went), axis=1)
    return unscaled, healthy


def update(
    network: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    gradients: Sequence,
    before: Sequence[tf.Tensor],
    live: tf.Tensor,
) -> tf.Tensor:
    """Takes one step with a network, or none where it went wrong.

    Args:
        network: The network.
        optimizer: Its optimizer, built.
        gradients: This replica's gradients by trainable variable; None where
            there is none.
        before: What `snapshots` returned for this network.
        live: Scalar, float32: 1 for a network that takes part.

    Returns:
        Shape (2,), float32, equal on every replica: 0 where a loss scale was
        too high, else 1; and 1 if the step was taken, 0 if it left no trace.
    """
    joint, unscaled = joint_gradients(optimizer, gradients)
    optimizer.apply(joint, network.trainable_variables)
    state, scale = changed_by_step(network, optimizer)
    after = values(state)
    # What the update made tells of its gradient too. A look at the gradient
    # itself would keep TensorFlow from the rewrites that it makes in a plain
    # fit, and change the last bits.
    healthy = live * unscaled * all_finite(after)
    keep_where(healthy, state, after, before[: len(state)])
    keep_where(live, scale, values(scale), before[len(state) :])
    return tf.stack([unscaled, healthy])


def _networks_at_a_time():
    """One where an operation has all threads, else one for each thread."""
    threads = tf.config.threading
    of_operation = threads.get_intra_op_parallelism_threads() or _count_in(
        "TF_NUM_INTRAOP_THREADS"
    )
    side_by_side = threads.get_inter_op_parallelism_threads() or _count_in(
        "TF_NUM_INTEROP_THREADS"
    )
    return max(1, side_by_side) if of_operation == 1 else 1


def _count_in(name):
    """A number in the environment; 0 is what TensorFlow takes others for."""
    text = os.environ.get(name, "").strip()
    return int(text) if text.isascii() and text.isdigit() else 0
