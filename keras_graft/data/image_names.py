"""Which files are images by their names.

Nothing is opened here, and nothing imported: whoever looks through a folder
asks here, so that all of them see the same images in it.
"""

SUFFIXES = (
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".png",
    ".bmp",
    ".gif",
    ".webp",
)
# What systems leave in folders, beside names that begin with a dot.
_LEFT_BY_SYSTEMS = {"__MACOSX", "@eaDir"}


def is_hidden(name: str) -> bool:
    """Whether a file or folder of that name is none of the user's own."""
    return name.startswith(".") or name in _LEFT_BY_SYSTEMS


def is_image_name(name: str) -> bool:
    """Whether a file of that name is an image, and not hidden."""
    return name.lower().endswith(SUFFIXES) and not is_hidden(name)
