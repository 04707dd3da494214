"""A folder of images as the splits of a run."""

import pathlib
from typing import Any

from keras_graft.data.folder.layout import look_through
from keras_graft.data.folder.layout import refuse_useless
from keras_graft.data.folder.reading import read_images
from keras_graft.data.splits import Splits
from keras_graft.data.tfds_source import DataUnavailableError


def read(path: str, **reading: Any) -> Splits:
    """Reads a folder of images, one folder a class.

    Args:
        path: The folder; `layout` says what may be in it.
        **reading: As of `reading.read_images`.

    Raises:
        ValueError: If the folder or an argument cannot be used.
        DataUnavailableError: If there is no such folder.
    """
    root = pathlib.Path(path)
    try:
        layout = look_through(root)
    except OSError as error:
        raise DataUnavailableError(
            f"{error.filename or path} cannot be read: {error.strerror}. "
            "Name a folder with one folder of images for each class, or with "
            "train/, val/ and test/ above them."
        ) from error
    sources = {file.name: root / file.name for file in layout.files}
    return read_images(layout, sources, refuse=refuse_useless, **reading)
