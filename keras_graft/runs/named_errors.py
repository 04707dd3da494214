"""What goes wrong with disks and memory, said in a sentence."""

import contextlib
import errno
import os
import re

from keras_graft.checkpoint.files import CheckpointWriteError
from keras_graft.checkpoint.manifest import CheckpointError
from keras_graft.runs.exit_codes import CHECKPOINT_UNUSABLE
from keras_graft.runs.exit_codes import RunError

# How an error in the reading of a batch is told, by TensorFlow too.
_BAD_IMAGE = re.compile(r"BadImageError: (.*)")

_DISK_ERRORS = tuple(
    # Not every system knows all of them.
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EROFS", "EACCES", "ENAMETOOLONG", "EIO")
    if hasattr(errno, name)
)


@contextlib.contextmanager
def disk_errors_named(directory):
    try:
        yield
    except CheckpointWriteError as error:
        if os.path.isdir(directory.path):
            raise RunError(str(error)) from error
        raise _gone(directory) from error
    except Exception as error:
        if not _is_of_disk(error, directory):
            raise
        known = getattr(error, "errno", None) in _DISK_ERRORS
        if not known and not os.path.isdir(directory.path):
            raise _gone(directory) from error
        raise RunError(
            f"{directory.path} cannot be written: {error}. Make room, or let "
            "the folder be written, and start the same command again: it goes "
            "on from the newest checkpoint."
        ) from error


def _gone(directory):
    return RunError(
        f"{directory.path} is gone: it was removed or moved while this run "
        "used it. Bring it back, or start the same command again: it begins "
        "anew."
    )


def _is_of_disk(error, directory):
    """Whether an error is one of the disk that the run is written to."""
    if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
        return True
    import tensorflow as tf

    # TensorBoard's files are written by TensorFlow.
    kinds = (OSError, tf.errors.OpError)
    return isinstance(error, kinds) and str(directory.path) in str(error)


@contextlib.contextmanager
def checkpoint_errors_named():
    try:
        yield
    except CheckpointError as error:
        raise RunError(str(error), CHECKPOINT_UNUSABLE) from error


@contextlib.contextmanager
def out_of_memory_named(settings):
    import tensorflow as tf

    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise RunError(
            f"Out of memory with {settings.num_networks} networks and batches "
            f"of {settings.batch_size}. All networks are held at once: give "
            "fewer --num_networks, a smaller --batch_size or "
            f"--precision=bfloat16. {str(error).splitlines()[0]}"
        ) from error


@contextlib.contextmanager
def lost_images_named():
    """Names an image that could be read before, and now cannot."""
    try:
        yield
    except Exception as error:
        # Of no type that is imported here, for that needs Pillow.
        found = _BAD_IMAGE.search(f"{type(error).__name__}: {error}")
        if found is None:
            raise
        raise RunError(
            "An image could be read when the run began, and now cannot: "
            f"{found[1]}. Bring it back, and start the same command again: it "
            "goes on from the newest checkpoint."
        ) from error
