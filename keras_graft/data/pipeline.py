"""The batches of a run, as `tf.data`.

The graph picks a batch of images from memory, or has them read from files,
augments it as a whole and hands it on. However many networks see an image, it
is read once. What a batch holds is a function of the seed, the epoch and the
step alone.
"""

import functools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from keras_graft.checks.members import check_member
from keras_graft.data import augment as augmentation
from keras_graft.data import batch_views
from keras_graft.data import order
from keras_graft.data.autotuning import without_autotuning
from keras_graft.data.distinct import Habits
from keras_graft.data.distinct import mixes_labels
from keras_graft.data.names import AUGMENTS
from keras_graft.data.names import BATCHES
from keras_graft.data.names import CLASS_BALANCES
from keras_graft.data.names import MIXING
from keras_graft.data.randaugment import randaugment
from keras_graft.data.splits import Split

_MIXING = {"cutmix": augmentation.cutmix, "mixup": augmentation.mixup}


def training_batches(
    split: Split,
    *,
    batch_size: int,
    seed: int,
    augment: str = "none",
    num_networks: int = 1,
    batches: str = "shared",
    num_classes: int | None = None,
    initial_epoch: int = 0,
    steps_per_epoch: int | None = None,
    habits: Sequence[Habits] | None = None,
    class_balance: str = "none",
) -> tf.data.Dataset:
    """Batches to train on, epoch after epoch without end.

    `randaugment`, `cutmix` and `mixup` come on top of `standard`;
    `resized_crop` is instead of it. Of files it takes parts of the images as
    they are stored, of arrays parts of what is there.

    Args:
        split: Images to train on.
        batch_size: Images in a batch; what is left of an epoch is dropped.
        seed: Seed of the run, for order and augmentation.
        augment: One of `names.AUGMENTS`.
        num_networks: N. Each network augments the batch in its own way.
        batches: `"shared"`: all networks see the same images in a step;
            `"own"`: each network has an order of its own.
        num_classes: Number of classes; `cutmix` and `mixup` need it.
        initial_epoch: Epoch to begin with, counted from 0.
        steps_per_epoch: Batches of an epoch; None: all.
        habits: For each network what makes its images and labels others
            than its peers'; they come on top of `augment`. None: nothing.
        class_balance: `"sample"`: every class is seen equally often, see
            `order.balanced_draw`; `"weight"`: every class weighs the same in
            the loss; `"none"`: classes are as large as they are.

    Returns:
        Dataset of `(x, y)`, or of `(x, y, weight)` with
        `class_balance="weight"`; give `fit` its `steps_per_epoch`. x is one
        tensor of shape [batch, height, width, channels], or where the networks
        see different images a dict of such tensors with the keys `network_0`
        ...
        It is uint8 without augmentation, with `standard` and `resized_crop`,
        else float32;
        pixels are 0 to 255. y is an int32 tensor of shape [batch], or a dict
        like x with `batches="own"`; with `cutmix` and `mixup`
        float32 class probabilities of shape [batch, classes], and where
        habits mix or smooth labels a dict of those. Weights are float32 of
        shape [batch], 1 on average, or a dict where y is one.

    Raises:
        ValueError: If an argument is out of its range.
    """
    check_member("augment", augment, AUGMENTS)
    check_member("batches", batches, BATCHES)
    check_member("class_balance", class_balance, CLASS_BALANCES)
    own_habits = list(habits or [Habits()] * num_networks)
    own_labels = mixes_labels(own_habits)
    if (augment in MIXING or own_labels) and num_classes is None:
        raise ValueError(
            f"augment={augment!r}, or habits, mix labels: give num_classes, "
            "so that they can be written as probabilities. Received: "
            "num_classes=None"
        )
    if len(own_habits) != num_networks or (augment in MIXING and own_labels):
        raise ValueError(
            "habits must be one for each network, and come with an "
            "augmentation that does not mix images itself. Received: "
            f"habits={habits}, num_networks={num_networks}, "
            f"augment={augment!r}"
        )
    if num_networks < 1 or initial_epoch < 0:
        raise ValueError(
            "num_networks must be 1 or more, initial_epoch 0 or more. "
            f"Received: num_networks={num_networks}, "
            f"initial_epoch={initial_epoch}"
        )
    steps = order.steps_per_epoch(len(split), batch_size, steps_per_epoch)
    num_orders = num_networks if batches == "own" else 1
    class_weights = _class_weights(split.labels)
    read = batch_views.reader(split, augment)
    with tf.device("CPU:0"):
        labels = tf.constant(split.labels)

    # Nothing here branches on a tensor, and AutoGraph takes longer to find
    # that out than TensorFlow to trace it.
    @tf.autograph.experimental.do_not_convert
    def steps_of(epoch):
        orders = [
            order.balanced_draw(
                split.labels, steps * batch_size, seed, epoch, stream
            )
            if class_balance == "sample"
            else order.permutation(len(split), seed, epoch, stream)
            for stream in range(num_orders)
        ]
        rows = tf.reshape(
            tf.stack(orders)[:, : steps * batch_size],
            [num_orders, steps, batch_size],
        )
        rows = tf.transpose(rows, [1, 0, 2])
        epochs = tf.fill([steps], epoch)
        return tf.data.Dataset.from_tensor_slices(
            (epochs, tf.range(steps, dtype=tf.int64), rows)
        )

    def view_by(habit):
        # One trace for all networks of one habit.
        @tf.function(autograph=False)
        def view(images, labels, seed, mixture_seed):
            images, labels = _view(
                images, labels, augment, seed, mixture_seed, num_classes
            )
            if any(h != Habits() for h in own_habits):
                images = tf.cast(images, tf.float32)
            if own_labels:
                labels = tf.one_hot(labels, num_classes)
            return _habitual(images, labels, habit, seed)

        return view

    view_of = {habit: view_by(habit) for habit in own_habits}

    @tf.autograph.experimental.do_not_convert
    def batch_of(epoch, step, rows):
        seeds = [
            order.seed_pair(seed, order.AUGMENT, epoch, step, k)
            for k in range(num_networks)
        ]
        if num_orders == 1:
            images = read(rows[0], seeds)
        else:
            images = [read(rows[k], [seeds[k]])[0] for k in range(num_orders)]
        views = [
            view_of[own_habits[k]](
                images[k],
                tf.gather(labels, rows[k % num_orders]),
                seeds[k],
                # Networks that share a batch share its mixtures, so that
                # they learn from each other about the same ones.
                order.seed_pair(
                    seed, order.MIXTURE, epoch, step, k % num_orders
                ),
            )
            for k in range(num_networks)
        ]
        plain = augment == "none" and all(h == Habits() for h in own_habits)
        element = _element(
            views,
            shares_images=plain and batches == "shared",
            shares_labels=not own_labels and batches == "shared",
        )
        if class_balance != "weight":
            return element
        weights = tf.nest.map_structure(
            functools.partial(_weights, class_weights), element[1]
        )
        return *element, weights

    return without_autotuning(
        tf.data.Dataset.counter(initial_epoch)
        .flat_map(steps_of)
        .map(batch_of, batch_views.parallel(split), deterministic=True)
        .prefetch(2)
    )


def _class_weights(labels):
    """What makes every class count the same, 1 on average over examples."""
    sizes = np.bincount(labels)
    present = np.count_nonzero(sizes)
    shares = len(labels) / (present * np.maximum(sizes, 1))
    return tf.constant(shares, tf.float32)


def _weights(class_weights, labels):
    """Weight of each example, from its class or from those mixed in it."""
    if labels.dtype.is_integer:
        return tf.gather(class_weights, labels)
    pad = labels.shape[-1] - len(class_weights)
    return tf.linalg.matvec(labels, tf.pad(class_weights, [[0, pad]]))


def evaluation_batches(split: Split, batch_size: int) -> tf.data.Dataset:
    """All images of a split once, in order.

    Args:
        split: Images to evaluate on.
        batch_size: Images in a batch; the last batch may be smaller.

    Returns:
        Dataset of (images, labels): uint8 of shape [batch, height, width,
        channels] and int32 of shape [batch].
    """
    read = batch_views.reader(split, "none")
    with tf.device("CPU:0"):
        labels = tf.constant(split.labels)

    @tf.autograph.experimental.do_not_convert
    def batch_of(rows):
        return read(rows, [None])[0], tf.gather(labels, rows)

    return without_autotuning(
        tf.data.Dataset.range(len(split))
        .batch(batch_size)
        .map(batch_of, batch_views.parallel(split), deterministic=True)
        .prefetch(2)
    )


def _view(
    images: tf.Tensor,
    labels: tf.Tensor,
    augment: str,
    seed: tf.Tensor,
    mixture_seed: tf.Tensor,
    num_classes: int | None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """One network's batch, from what it sees of the images."""
    if augment in ("none", "standard", "resized_crop"):
        return images, labels
    images = tf.cast(images, tf.float32)
    if augment == "randaugment":
        return randaugment(images, order.fold_in(seed, 1)), labels
    labels = tf.one_hot(labels, num_classes)
    return _MIXING[augment](images, labels, mixture_seed)


def _habitual(images, labels, habit, seed):
    """What a network's own habits make of its view."""
    if habit.mixing is not None:
        mix = _MIXING[habit.mixing]
        images, labels = mix(images, labels, order.fold_in(seed, 2))
    if habit.erasing:
        seed = order.fold_in(seed, 3)
        images = augmentation.erase(images, seed, habit.erasing)
    if habit.smoothing:
        kept = 1.0 - habit.smoothing
        labels = kept * labels + habit.smoothing / labels.shape[-1]
    return images, labels


def _element(
    views: list[tuple[tf.Tensor, tf.Tensor]],
    shares_images: bool,
    shares_labels: bool,
) -> tuple:
    """What the dataset yields for a step; see `training_batches`."""
    x, y = views[0]
    if len(views) == 1:
        return x, y
    if not shares_images:
        x = {f"network_{k}": images for k, (images, _) in enumerate(views)}
    if not shares_labels:
        y = {f"network_{k}": labels for k, (_, labels) in enumerate(views)}
    return x, y
