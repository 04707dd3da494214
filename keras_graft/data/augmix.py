"""AugMix (arXiv 1912.02781) of Keras' layers.

Keras' own `AugMix` chooses operations by Python's generator while the graph
is built, the same for all images of a batch and for every batch of a
`tf.data` pipeline. Here each image draws its own from a seed pair.

Three chains of one to three of the paper's nine operations, severity 3,
mixed with the image itself. Beside the authors' program, what comes from
outside of an image is reflected rather than black, and amounts are not
rounded down. The paper's consistency loss between views is not part of it.
"""

import tensorflow as tf

from keras_graft.data import image_operations
from keras_graft.data import order
from keras_graft.data.image_operations import WHITE
from keras_graft.data.operation_space import operation_space
from keras_graft.data.operation_space import unchanged

_CHAINS = 3
_MOST_OPERATIONS = 3
# Severity 3, of 10 that there are.
_MAGNITUDES = (0.01, 0.3)


def augmix(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Blends every image with three that were made from it.

    Args:
        images: float32, pixels 0 to 255, shape [batch, height, width,
            channels], 1 or 3 channels.
        seed: Seed pair, int64, shape [2].

    Returns:
        Images of the same shape and range, float32.
    """
    image_operations.make_layers()
    batch_size = tf.shape(images)[0]
    changed = tf.repeat(images, _CHAINS, axis=0)
    changed.set_shape([None, *images.shape[1:]])
    lengths = tf.random.stateless_uniform(
        [batch_size * _CHAINS],
        order.fold_in(seed, 1),
        minval=1,
        maxval=_MOST_OPERATIONS + 1,
        dtype=tf.int32,
    )
    for turn in range(_MOST_OPERATIONS):
        place = order.fold_in(seed, 2, turn)
        changed = _one_link(changed, lengths > turn, place)
    chains = tf.reshape(changed, [batch_size, _CHAINS, *images.shape[1:]])
    weights, share = draw_weights(batch_size, order.fold_in(seed, 0))
    mixed = tf.reduce_sum(chains * weights[..., None, None, None], axis=1)
    share = share[:, None, None, None]
    # Rounding may take a sum of weights beyond 1.
    return tf.clip_by_value((1.0 - share) * images + share * mixed, 0.0, WHITE)


def draw_weights(
    batch_size: int | tf.Tensor, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws how the chains of each image are mixed.

    Args:
        batch_size: Number of images.
        seed: Seed pair.

    Returns:
        Weights of the chains, Dirichlet(1, 1, 1), float32, shape [batch, 3],
        of sum 1; the share of the chains beside the image itself, Beta(1, 1),
        which is uniform in [0, 1), float32, shape [batch].
    """
    # The distances between sorted uniform cuts are that distribution.
    cuts = tf.random.stateless_uniform(
        [batch_size, _CHAINS - 1], order.fold_in(seed, 0)
    )
    cuts = tf.pad(tf.sort(cuts, axis=1), [[0, 0], [1, 0]])
    ends = tf.pad(cuts[:, 1:], [[0, 0], [0, 1]], constant_values=1.0)
    share = tf.random.stateless_uniform([batch_size], order.fold_in(seed, 1))
    return ends - cuts, share


# Nine operations are traced once and not anew for every link and network.
@tf.function
def _one_link(images, taken, seed):
    """One operation more for the images whose chain is long enough."""
    count = tf.shape(images)[0]
    choices = tf.random.stateless_uniform(
        [count],
        order.fold_in(seed, 0),
        maxval=len(OPERATIONS),
        dtype=tf.int32,
    )
    magnitudes = tf.random.stateless_uniform(
        [count, 1, 1, 1], order.fold_in(seed, 1), *_MAGNITUDES
    )
    signs = tf.random.stateless_uniform(
        [count, 1, 1, 1], order.fold_in(seed, 2), maxval=2, dtype=tf.int32
    )
    signs = 2.0 * tf.cast(signs, tf.float32) - 1.0
    return image_operations.each_by_one(
        [*OPERATIONS.values(), unchanged],
        tf.where(taken, choices, len(OPERATIONS)),
        images,
        magnitudes,
        signs,
    )


OPERATIONS = operation_space(
    degrees=30.0, slope=0.3, moved=lambda side: side / 3, bits=(4.0, 0.0)
)
