"""One file as pixels.

Whatever a file holds comes out as red, green and blue of 8 bits each, the way
up that the camera noted, what is transparent on white.
"""

import io
import math
import os
from typing import Any

import numpy as np
from PIL import Image

from keras_graft.checks.plain_files import refuse_other_kind

# Fewer pixels at a side show nothing, and more at all fill the memory: it is
# also where Pillow begins to warn of files made to do so.
SMALLEST_SIDE = 8
MOST_PIXELS = 89_478_485

_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP")
_ORIENTATION = 274
# What brings an image upright, by its EXIF orientation.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class BadImageError(Exception):
    """A file cannot be used as an image; the message says why."""


def size_of(source: Any) -> tuple[int, int]:
    """Reads the width and height of an image from its first bytes.

    Args:
        source: Path of a file, or what has `read()` and gives its bytes.

    Raises:
        BadImageError: If it is no image, or too small or too large.
    """
    with _opened(source) as image:
        width, height = image.size
    if min(width, height) < SMALLEST_SIDE:
        raise BadImageError(
            f"{width}x{height} pixels, where each side must have at least "
            f"{SMALLEST_SIDE}"
        )
    if width * height > MOST_PIXELS:
        raise BadImageError(
            f"{width}x{height} are {width * height / 1e6:.0f} megapixels, "
            f"where {MOST_PIXELS / 1e6:.0f} are the most: make it smaller"
        )
    return width, height


def read_image(source: Any, side: int) -> Image.Image:
    """Reads an image, or the first one of an animation.

    Args:
        source: As of `size_of`, of a format and size that it lets through.
        side: Pixels at a side that the image will be brought to. A JPEG of a
            camera is decoded at a half, a quarter or an eighth of its size
            where that leaves twice as many, in a fraction of the time.

    Returns:
        The image in Pillow's mode RGB, upright.

    Raises:
        BadImageError: If the file is cut short or damaged.
    """
    with _opened(source) as image:
        try:
            shorter = min(image.size)
            least = [-(-n * 2 * side // shorter) for n in image.size]
            image.draft(None, tuple(least))
            image.load()
            return _upright(_as_rgb(image), _orientation(image))
        # Each of Pillow's formats has errors of its own.
        except Exception as error:
            raise BadImageError(_reason(error)) from error


def shrink(image: Image.Image, side: int) -> Image.Image:
    """Brings an image to `side` pixels at its shorter side, if it has more."""
    shorter = min(image.size)
    if shorter <= side:
        return image
    return _scaled(image, *(round(n * side / shorter) for n in image.size))


def crop_to(image: Image.Image, draws: np.ndarray, side: int) -> np.ndarray:
    """A part of an image as a square, mirrored or not.

    The random resized crop of arXiv 1409.4842: 8 to 100 percent of the area,
    proportions of 3:4 to 4:3. A part that is wider or higher than the image
    is cut to it.

    Args:
        image: In Pillow's mode RGB.
        draws: Shape [5], each uniform in [0, 1): area, proportions, place
            from left and from top, whether mirrored.
        side: Pixels at a side of the square.

    Returns:
        uint8, shape [side, side, 3].
    """
    area, proportions, left, top, mirrored = draws.tolist()
    full_width, full_height = image.size
    area = (0.08 + 0.92 * area) * full_width * full_height
    ratio = (3 / 4) ** (1 - 2 * proportions)
    width = min(math.sqrt(area * ratio), full_width)
    height = min(math.sqrt(area / ratio), full_height)
    left *= full_width - width
    top *= full_height - height
    box = (left, top, left + width, top + height)
    square = _scaled(image, side, side, box)
    if mirrored < 0.5:
        square = square.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.asarray(square)


def shift(
    square: np.ndarray, top: int, left: int, flip: bool, into: np.ndarray
) -> None:
    """Pads a square with black, crops it to its size, mirrors it or not.

    Args:
        square: uint8, shape [side, side, 3].
        top: Top edge of the crop in the padded square; see
            `augment.crop_flip`.
        left: Left edge.
        flip: Whether the crop is mirrored.
        into: Where the result is written; the same shape.
    """
    side = len(square)
    pad = side // 8
    # What of the square is seen, and where.
    rows, columns = (
        slice(max(0, edge - pad), min(side, side + edge - pad))
        for edge in (top, left)
    )
    down, right = (
        slice(inner.start - edge + pad, inner.stop - edge + pad)
        for inner, edge in ((rows, top), (columns, left))
    )
    into[:] = 0
    into[down, right] = square[rows, columns]
    if flip:
        # Three bytes at a time are moved faster than one by one.
        pixels = into.view("V3")[..., 0]
        pixels[:] = pixels[:, ::-1].copy()


def fit_to(image: Image.Image, side: int, resize: str) -> np.ndarray:
    """Brings an image to a square.

    Args:
        image: In Pillow's mode RGB.
        side: Pixels at a side of the square.
        resize: `"crop"`: its middle, as much as a square holds; `"pad"`: the
            whole, in the middle of black; `"stretch"`: the whole, with other
            proportions.

    Returns:
        uint8, shape [side, side, 3].
    """
    width, height = image.size
    if resize == "pad":
        longer = max(width, height)
        inner = [max(1, round(n * side / longer)) for n in image.size]
        left, top = ((side - n) // 2 for n in inner)
        square = Image.new("RGB", (side, side))
        square.paste(_scaled(image, *inner), (left, top))
        return np.asarray(square)
    box = (0, 0, width, height)
    if resize == "crop":
        shorter = min(width, height)
        left, top = (width - shorter) / 2, (height - shorter) / 2
        box = (left, top, left + shorter, top + shorter)
    return np.asarray(_scaled(image, side, side, box))


def _scaled(image, width, height, box=None):
    return image.resize((width, height), Image.Resampling.BILINEAR, box)


def _opened(source):
    try:
        if isinstance(source, str | os.PathLike):
            # A pipe would be waited for.
            refuse_other_kind(source)
        else:
            source = io.BytesIO(source.read())
        return Image.open(source, formats=_FORMATS)
    except Image.UnidentifiedImageError as error:
        raise BadImageError("no image, or a damaged one") from error
    except Exception as error:
        raise BadImageError(_reason(error)) from error


def _reason(error):
    reason = getattr(error, "strerror", None) or str(error)
    return reason or type(error).__name__


def _orientation(image):
    try:
        return image.getexif().get(_ORIENTATION)
    # Notes that cannot be read are no reason to do without the image.
    except Exception:
        return None


def _upright(image, orientation):
    turn = _UPRIGHT.get(orientation)
    return image if turn is None else image.transpose(turn)


def _as_rgb(image):
    if image.mode.startswith("I"):
        # 16 bits: Pillow would cut off what is above 255.
        high_bytes = np.asarray(image).astype(np.uint32) >> 8
        image = Image.fromarray(high_bytes.astype(np.uint8))
    if image.has_transparency_data:
        return _on_white(image.convert("RGBA"))
    return image if image.mode == "RGB" else image.convert("RGB")


def _on_white(image):
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")
