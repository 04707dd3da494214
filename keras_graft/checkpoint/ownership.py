"""What may be removed from a folder of checkpoints, and what may be others'."""

import itertools
import os
import re

from keras_graft.checkpoint.manifest import ARRAYS
from keras_graft.checkpoint.manifest import MANIFEST
from keras_graft.checkpoint.manifest import STATE
from keras_graft.checkpoint.manifest import is_manifest_of

# What is in the making here has a name that nobody else gives.
OWN_PREFIX = ".keras_graft-"
_EPOCH = re.compile(r"epoch-(\d+)")


def is_ours(path):
    """Whether a folder is one that may be removed with all that is in it.

    Anyone may call a folder `epoch-000001` and a file `state.json`: only its
    manifest says that it is a checkpoint. One in the making has none yet, but
    a name that nobody else gives.
    """
    if not is_named_alike(path):
        return False
    epoch = int(_EPOCH.search(path.name)[1])
    return (
        path.name.startswith(OWN_PREFIX)
        or not any(path.iterdir())
        or is_manifest_of(path, epoch)
    )


def is_named_alike(path):
    """Whether a folder holds nothing that is not called as in a checkpoint."""
    if path.is_symlink() or not path.is_dir():
        return False
    return {p.name for p in path.iterdir()} <= {ARRAYS, STATE, MANIFEST}


def free_name(path):
    """A name beside a folder that nothing has yet."""
    names = (path.with_name(f"{path.name}.kept-{n}") for n in itertools.count())
    return next(name for name in names if not os.path.lexists(name))
