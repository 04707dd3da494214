"""What images may be read with: refused before any image is looked for."""

from typing import Any

from keras_graft.checks.members import check_member
from keras_graft.checks.numbers import is_whole
from keras_graft.data.names import BAD_IMAGES
from keras_graft.data.names import CACHES
from keras_graft.data.names import RESIZES


def check_reading(
    image_size: int | None = None,
    resize: str = "crop",
    bad_images: str = "refuse",
    cache: str = "auto",
    **others: Any,
) -> None:
    """Refuses values that nothing can be read with.

    Args:
        image_size: As of `folder.reading.read_images`, like all.
        resize: Likewise.
        bad_images: Likewise.
        cache: Likewise.
        **others: Not looked at.

    Raises:
        ValueError: If one is out of its range.
    """
    del others  # Not looked at.
    if image_size is not None and not is_whole(image_size, 1):
        raise ValueError(
            "`image_size` must be a whole number of pixels from 1 on, or "
            f"None. Received: {image_size!r}"
        )
    check_member("resize", resize, RESIZES)
    check_member("bad_images", bad_images, BAD_IMAGES)
    check_member("cache", cache, CACHES)
