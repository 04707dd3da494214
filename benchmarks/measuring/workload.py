"""What is trained: sizes, and images that need no download."""

import dataclasses

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
        flags: Further flags of `keras_graft.launch`, for the trainer.
    """

    networks: int
    model: str
    batch_size: int = 128
    train_images: int = 2560
    validation_images: int = 640
    precision: str = "float32"
    flags: tuple[str, ...] = ()

    def __post_init__(self):
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


def synthetic_images(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images shaped like CIFAR's that a network can learn a little of.

    Args:
        count: How many.
        seed: Seed of the noise; the classes look alike under every seed.

    Returns:
        uint8 of shape [count, 32, 32, 3] and int32 labels of shape [count].
    """
    classes = np.random.default_rng(0)
    coarse = classes.uniform(80, 160, (NUM_CLASSES, 4, 4, 3))
    means = coarse.repeat(IMAGE_SIZE // 4, 1).repeat(IMAGE_SIZE // 4, 2)
    rng = np.random.default_rng([seed, 1])
    labels = rng.integers(0, NUM_CLASSES, count, dtype="int32")
    images = np.empty((count, *means.shape[1:]), "uint8")
    # One by one: the noise of all of them would be a peak of memory.
    for image, label in zip(images, labels, strict=True):
        noisy = means[label] + rng.normal(0, 60, image.shape)
        image[...] = np.clip(noisy, 0, 255)
    return images, labels
