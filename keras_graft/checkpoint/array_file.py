"""Reads `arrays.npz`, and takes no more memory than the file has bytes."""

import math
import pathlib
import zipfile

import numpy as np

from keras_graft.checkpoint.manifest import CheckpointError

_ENDING = ".npy"
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The arrays of a file as `numpy.savez` writes it.

    Args:
        path: The file.

    Returns:
        Arrays by name.

    Raises:
        CheckpointError: With the entry's name, if it is another file, an
            entry is no array or there twice, or says that it is larger than
            it is.
    """
    name = "the list of its entries"
    arrays: dict[str, np.ndarray] = {}
    try:
        left = path.stat().st_size
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                name = entry.filename.removesuffix(_ENDING)
                if name in arrays:
                    raise ValueError("it is there twice")
                if not entry.filename.endswith(_ENDING):
                    raise ValueError("it is no array")
                left -= entry.file_size
                if entry.compress_type != zipfile.ZIP_STORED or left < 0:
                    raise ValueError("it is larger than the file")
                _refuse_other_size(archive, entry)
                with archive.open(entry) as member:
                    arrays[name] = np.lib.format.read_array(
                        member, allow_pickle=False
                    )
    # A foreign file fails inside of NumPy, zipfile and zlib in any way.
    except Exception as error:
        raise CheckpointError(
            f"{path} cannot be read: {name}: {type(error).__name__}: {error}"
        ) from error
    return arrays


def _refuse_other_size(archive, entry):
    """NumPy makes room for what a header says before it reads."""
    with archive.open(entry) as member:
        version = np.lib.format.read_magic(member)
        if version not in _HEADERS:
            raise ValueError(f"it has the version {version} of NumPy's format")
        shape, _, dtype = _HEADERS[version](member)
        said = math.prod(shape) * dtype.itemsize
        found = entry.file_size - member.tell()
    if min(shape, default=0) < 0 or said != found:
        raise ValueError(
            f"its shape {shape} takes {said} bytes, and it has {found}"
        )
