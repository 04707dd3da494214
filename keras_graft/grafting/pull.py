"""Gentle grafts as formulas: a step of the way to a peer, or to the mean."""

import math
from collections.abc import Sequence

import tensorflow as tf

# By the first epoch that it holds in: epochs that halve a difference.
Course = Sequence[tuple[int, float]]


def half_life_in(epoch: int, half_life: float | Course) -> float:
    """The half-life that holds in an epoch.

    Args:
        epoch: Counted from 0.
        half_life: A number, or pairs `(first epoch, half-life)` in rising
            order, the first of epoch 0.
    """
    if isinstance(half_life, (int, float)):
        return float(half_life)
    return float([h for first, h in half_life if first <= epoch][-1])


def pull_share(steps: float, half_life: float, steps_per_epoch: int) -> float:
    """The share of a difference that is to go, after some steps.

    Args:
        steps: Steps since the last pull, above 0.
        half_life: Epochs that are to halve the difference, above 0.
        steps_per_epoch: At least 1.

    Returns:
        In (0, 1): `1 - 0.5 ** (steps / (half_life * steps_per_epoch))`.
    """
    return -math.expm1(-math.log(2) * steps / (half_life * steps_per_epoch))


def peers_of(live: tf.Tensor) -> tf.Tensor:
    """The nearest live network upstream in the ring.

    Args:
        live: Shape (N,), float32: 1 for a network that takes part.

    Returns:
        Shape (N,), int32: positions; its own for a network without a live
        peer, and for one that is not live.
    """
    n = live.shape[0]
    own = tf.range(n)
    if n == 1:
        return own
    # Row k: the networks upstream of k, the nearest one first.
    upstream = (own[:, tf.newaxis] - tf.range(1, n)) % n
    there = tf.gather(live, upstream) > 0
    nearest = tf.argmax(tf.cast(there, "int32"), 1, output_type=tf.int32)
    found = tf.gather(upstream, nearest, batch_dims=1)
    takes_part = (live > 0) & tf.reduce_any(there, 1)
    return tf.where(takes_part, found, own)


def ring_coefficients(
    information: tf.Tensor, peers: tf.Tensor, amplitude: float, slope: float
) -> tf.Tensor:
    """The share that each layer keeps of itself in the blend with its peer.

    As `graft_coefficient`, for all layers and networks at once.

    Args:
        information: Shape (layers, N), float32; NaN where it is not known.
        peers: Shape (N,), int32: who gives.
        amplitude: In [0, 1].
        slope: At least 0.

    Returns:
        Shape (layers, N), float32; 0.5 where either side is not finite.
    """
    difference = information - tf.gather(information, peers, axis=1)
    found = amplitude / math.pi * tf.atan(slope * difference) + 0.5
    return tf.where(tf.math.is_finite(difference), found, 0.5)


def mean_of_live(weights: tf.Tensor, live: tf.Tensor) -> tf.Tensor:
    """The mean of the networks that take part.

    Args:
        weights: Shape (N, ...), float; what is not live may be NaN.
        live: Shape (N,), float32.

    Returns:
        Shape (1, ...).
    """
    there = column(live, weights) > 0
    total = tf.reduce_sum(tf.where(there, weights, 0), 0, keepdims=True)
    return total / tf.cast(tf.maximum(tf.reduce_sum(live), 1), weights.dtype)


def column(of_networks: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """A number for each network, in a shape that broadcasts to the weights.

    Args:
        of_networks: Shape (N,).
        like: Shape (N, ...).

    Returns:
        Shape (N, 1, ...), of the weights' dtype.
    """
    shape = [-1, *[1] * (like.shape.rank - 1)]
    return tf.reshape(tf.cast(of_networks, like.dtype), shape)
