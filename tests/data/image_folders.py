"""Small images in folders, for tests."""

import numpy as np
from PIL import Image


def write_image(path, seed=0, side=12, **save):
    """Writes an image of noise; `save` goes to Pillow."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **save)
    return pixels


def write_classes(root, counts, side=12, suffix=".png"):
    """Writes `counts[name]` images of each class, no two of them equal.

    Each class has a brightness of its own, so that it can be learned.
    """
    rng = np.random.default_rng(len(root.parts))
    for position, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True, exist_ok=True)
        low = 60 * position
        for i in range(count):
            pixels = rng.integers(low, low + 60, (side, side, 3), np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i:03d}{suffix}")
    return root
