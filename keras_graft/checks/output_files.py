"""Files that are written at the end: whether they can be, said at once."""

import os
from collections.abc import Sequence


def check_output_file(
    name: str, path: str | None, endings: Sequence[str] = ()
) -> None:
    """Refuses a path that no file could be written to.

    Args:
        name: Of the flag, for the message.
        path: Its value, None if it is not set.
        endings: Such as `".json"`: of which it must have one. Empty: any.

    Raises:
        ValueError: If it is a folder, its folder is not there, this user may
            not write it, or it ends otherwise.
    """
    if path is None:
        return
    if endings and os.path.splitext(path)[1].lower() not in endings:
        raise ValueError(
            f"--{name} must end with {' or '.join(endings)}. Received: {path}"
        )
    folder = os.path.dirname(path) or "."
    reason = None
    if not path or os.path.isdir(path):
        reason = "it is no file"
    elif not os.path.isdir(folder):
        reason = f"there is no folder {folder}"
    elif not os.access(path if os.path.exists(path) else folder, os.W_OK):
        reason = "this user may not write there"
    if reason is not None:
        raise ValueError(
            f"--{name}={path} cannot be written: {reason}. Give a file in a "
            "folder that this user may write."
        )
