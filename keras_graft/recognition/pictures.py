"""Files of images as pixels."""

import pathlib
from collections.abc import Sequence

import numpy as np

from keras_graft.data.folder.examination import in_threads
from keras_graft.data.folder.image_file import BadImageError
from keras_graft.data.folder.image_file import read_image
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
    # After the reader's own, which says what to install.
    from PIL import Image

    height, width = image_shape
    images = np.zeros((len(paths), height, width, 3), np.uint8)

    def read(place):
        try:
            picture = read_image(paths[place], max(height, width))
        except BadImageError as error:
            return error
        if picture.size != (width, height):
            picture = picture.resize((width, height), Image.Resampling.BILINEAR)
        images[place] = np.asarray(picture)
        return None

    for path, bad in zip(paths, in_threads(read, range(len(paths)))):
        if bad is not None:
            problems.add("broken files", path, str(bad))
    return images
