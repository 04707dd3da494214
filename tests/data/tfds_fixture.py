"""A small CIFAR-100 in TFDS' own layout, for tests without a network."""

import pathlib

import numpy as np
import tensorflow_datasets as tfds

_SIDE = 32


def write_cifar100(
    data_dir: str | pathlib.Path,
    train: int,
    test: int,
    num_classes: int = 100,
    seed: int = 0,
) -> None:
    """Writes what TFDS would have prepared, with few images.

    Labels go round the classes; an image is its class's color with noise, so
    that a network can learn it.

    Args:
        data_dir: Folder that becomes the `data_dir` of a run.
        train: Number of training images.
        test: Number of test images.
        num_classes: How many of the hundred classes have images.
        seed: Seed of colors and noise.
    """
    rng = np.random.default_rng(seed)
    colors = rng.integers(40, 216, size=(num_classes, 1, 1, 3))

    def examples(split, count):
        for index in range(count):
            label = index % num_classes
            noise = rng.normal(0, 20, size=(_SIDE, _SIDE, 3))
            pixels = np.clip(colors[label] + noise, 0, 255)
            yield (
                index,
                {
                    "id": f"{split}_{index:05d}",
                    "image": pixels.astype(np.uint8),
                    "label": label,
                    "coarse_label": label % 20,
                },
            )

    class Cifar100(tfds.builder_cls("cifar100"), skip_registration=True):
        """TFDS' builder, fed with images instead of the archive."""

        def _split_generators(self, dl_manager):
            del dl_manager  # unused
            return {
                "train": examples("train", train),
                "test": examples("test", test),
            }

    Cifar100(data_dir=data_dir).download_and_prepare()
