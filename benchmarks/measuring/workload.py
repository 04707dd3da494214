"""What is trained: sizes, and images that need no download."""

import dataclasses
from typing import Any

import numpy as np

IMAGE_SIZE = 32
NUM_CLASSES = 10
EVALUATION_BATCH = 256


@dataclasses.dataclass(frozen=True)
class Workload:
    """An epoch, the same for every side.

    Attributes:
        networks: N.
        model: Name of the architecture.
        batch_size: Images in a step.
        train_images: Images of an epoch; whole batches of them are used.
        validation_images: Images that are looked at after each epoch.
        precision: What every side computes in: `"float32"` or `"bfloat16"`,
            weights in float32.
        flags: Further flags of the side, see `described`; the trainer's are
            those of `keras_graft.launch`.
        image_size: Height and width of an image in pixels, a multiple of 4.
    """

    networks: int
    model: str
    batch_size: int = 128
    train_images: int = 2560
    validation_images: int = 640
    precision: str = "float32"
    flags: tuple[str, ...] = ()
    image_size: int = IMAGE_SIZE

    def __post_init__(self):
        if self.image_size < 4 or self.image_size % 4:
            raise ValueError(
                "Synthetic images are made of 4x4 patches: image_size must "
                f"be a multiple of 4. Received: {self.image_size}"
            )
        if self.train_images < self.batch_size:
            raise ValueError(
                "An epoch needs a whole batch. Received: "
                f"{self.train_images} images, batches of {self.batch_size}"
            )

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return self.train_images // self.batch_size

    @property
    def network_images(self) -> int:
        """Images of an epoch, counted once for every network."""
        return self.networks * self.steps * self.batch_size

    def config(self) -> dict[str, Any]:
        """The values of the attributes, for a side of any version."""
        values = dataclasses.asdict(self)
        if self.image_size == IMAGE_SIZE:
            # Versions before it was a choice do not know the name.
            del values["image_size"]
        return values


def synthetic_images(
    count: int, seed: int, size: int = IMAGE_SIZE
) -> tuple[np.ndarray, np.ndarray]:
    """Images that a network can learn a little of; by default like CIFAR's.

    Args:
        count: How many.
        seed: Seed of the noise; the classes look alike under every seed.
        size: Height and width, a multiple of 4.

    Returns:
        uint8 of shape [count, size, size, 3] and int32 labels of shape
        [count].
    """
    classes = np.random.default_rng(0)
    coarse = classes.uniform(80, 160, (NUM_CLASSES, 4, 4, 3))
    means = coarse.repeat(size // 4, 1).repeat(size // 4, 2)
    rng = np.random.default_rng([seed, 1])
    labels = rng.integers(0, NUM_CLASSES, count, dtype="int32")
    images = np.empty((count, *means.shape[1:]), "uint8")
    # One by one: the noise of all of them would be a peak of memory.
    for image, label in zip(images, labels, strict=True):
        noisy = means[label] + rng.normal(0, 60, image.shape)
        image[...] = np.clip(noisy, 0, 255)
    return images, labels
