"""Files that are written at the end: whether they can be, said at once."""

import os


def check_output_file(name: str, path: str | None) -> None:
    """Refuses a path that no file could be written to.

    Args:
        name: Of the flag, for the message.
        path: Its value, None if it is not set.

    Raises:
        ValueError: If it is a folder, its folder is not there, or this user
            may not write it.
    """
    if path is None:
        return
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
