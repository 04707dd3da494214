"""Saved Keras models, with errors that a person can act on."""

import os
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def check_file(path: str) -> None:
    """Checks that a file can be a saved Keras model, without Keras.

    Args:
        path: The file.

    Raises:
        ValueError: If it is missing or of another kind.
    """
    if not os.path.exists(path):
        raise ValueError(f"There is no file {path}.")
    if os.path.isdir(path):
        raise ValueError(
            f"{path} is a folder. Give a saved Keras model, such as "
            f"{os.path.join(path, 'shipped.keras')}."
        )
    ending = os.path.splitext(path)[1].lower()
    with open(path, "rb") as file:
        is_hdf5 = file.read(len(_HDF5_SIGNATURE)) == _HDF5_SIGNATURE
    if ending == ".keras" and zipfile.is_zipfile(path):
        return
    if ending in (".h5", ".hdf5") and is_hdf5:
        return
    raise ValueError(
        f"{path} is not a saved Keras model: give a .keras file that "
        "`model.save` has written, or an .h5 file of a whole model."
    )


def load(path: str) -> "keras.Model":
    """Loads a model without its compile state.

    Args:
        path: A file that `check_file` accepts.

    Returns:
        The model.

    Raises:
        ValueError: If Keras cannot load it.
    """
    import keras

    try:
        return keras.saving.load_model(path, compile=False)
    # A damaged or foreign file fails inside the loader in any way.
    except Exception as error:
        raise ValueError(
            f"{path} cannot be loaded: {error} If the model has layers of "
            "your own, diagnose it in Python instead: "
            "keras_graft.diagnose(model)."
        ) from error
