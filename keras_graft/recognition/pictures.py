"""Files of images as pixels."""

import concurrent.futures
import os
import pathlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

from keras_graft.recognition.image_files import Problems


def read_pictures(
    paths: Sequence[pathlib.Path],
    image_shape: tuple[int, int],
    problems: Problems,
) -> np.ndarray:
    """Reads files, each stretched to one shape.

    Args:
        paths: Of the files.
        image_shape: (height, width) in pixels.
        problems: Takes the files that are no images, or damaged ones.

    Returns:
        uint8, shape [files, height, width, 3]; zeros for a bad file.
    """
    height, width = image_shape
    images = np.zeros((len(paths), height, width, 3), np.uint8)

    def read(place):
        try:
            with Image.open(paths[place]) as image:
                picture = image.convert("RGB")
                if picture.size != (width, height):
                    picture = picture.resize(
                        (width, height), Image.Resampling.BILINEAR
                    )
            images[place] = np.asarray(picture)
        # Each of Pillow's formats has errors of its own.
        except Exception as error:
            return str(error).split(" '")[0] or type(error).__name__
        return None

    # Pillow lets other threads run while it decodes.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
        for path, why in zip(paths, threads.map(read, range(len(paths)))):
            if why is not None:
                problems.add("broken files", path, why)
    return images
