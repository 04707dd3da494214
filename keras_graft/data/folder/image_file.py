"""One file as pixels.

Whatever a file holds comes out as red, green and blue of 8 bits each, the way
up that the camera noted, what is transparent on white.
"""

import os

import numpy as np
from PIL import Image

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


def size_of(path: str | os.PathLike) -> tuple[int, int]:
    """Reads the width and height of an image from its first bytes.

    Raises:
        BadImageError: If it is no image, or too small or too large.
    """
    with _opened(path) as image:
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


def read_image(path: str | os.PathLike) -> Image.Image:
    """Reads an image, or the first one of an animation.

    Args:
        path: A file of a format and size that `size_of` lets through.

    Returns:
        The image in Pillow's mode RGB, upright.

    Raises:
        BadImageError: If the file is cut short or damaged.
    """
    with _opened(path) as image:
        try:
            image.load()
            return _upright(_as_rgb(image), _orientation(image))
        # Each of Pillow's formats has errors of its own.
        except Exception as error:
            raise BadImageError(_reason(error)) from error


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


def _opened(path):
    try:
        return Image.open(path, formats=_FORMATS)
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
