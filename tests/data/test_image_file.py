"""What comes out of a file of each kind."""

import re
import struct
import zlib

import numpy as np
import pytest
from image_folders import write_image
from PIL import Image

from keras_graft.data.folder.image_file import BadImageError
from keras_graft.data.folder.image_file import fit_to
from keras_graft.data.folder.image_file import read_image
from keras_graft.data.folder.image_file import size_of

ROWS, COLUMNS = 10, 16


def pixels_of(path):
    image = read_image(path, 64)
    assert image.mode == "RGB"
    return np.asarray(image)


def saved(path, image, **save):
    image.save(path, **save)
    return pixels_of(path)


@pytest.fixture
def rgb():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (ROWS, COLUMNS, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "name, save",
    [
        ("a.png", {}),
        ("a.bmp", {}),
        ("a.webp", {"lossless": True}),
        # What is in a file counts, not what it is called.
        ("a.jpg", {"format": "PNG"}),
    ],
)
def test_formats_without_loss_give_the_pixels_back(tmp_path, rgb, name, save):
    found = saved(tmp_path / name, Image.fromarray(rgb), **save)
    np.testing.assert_array_equal(found, rgb)
    assert size_of(tmp_path / name) == (COLUMNS, ROWS)


def test_jpeg_is_near_the_pixels(tmp_path):
    smooth = np.full((ROWS, COLUMNS, 3), (200, 100, 30), np.uint8)
    found = saved(tmp_path / "a.jpg", Image.fromarray(smooth), quality=95)
    assert np.abs(found.astype(int) - smooth).max() <= 3


def test_cmyk_jpeg_is_red_where_it_is_red(tmp_path):
    # No cyan, all magenta and yellow, no black.
    image = Image.new("CMYK", (COLUMNS, ROWS), (0, 255, 255, 0))
    found = saved(tmp_path / "a.jpg", image, quality=95)
    assert np.abs(found.astype(int) - (255, 0, 0)).max() <= 3


def test_grey_has_three_equal_channels(tmp_path, rgb):
    grey = rgb[..., 0]
    found = saved(tmp_path / "a.png", Image.fromarray(grey))
    np.testing.assert_array_equal(found, np.stack([grey] * 3, axis=-1))
    black_and_white = Image.fromarray(grey > 127)
    found = saved(tmp_path / "b.png", black_and_white)
    np.testing.assert_array_equal(found[..., 0], np.where(grey > 127, 255, 0))


def test_sixteen_bits_keep_their_upper_eight(tmp_path, rgb):
    deep = rgb[..., 0].astype(np.uint16) * 256 + 7
    found = saved(tmp_path / "a.png", Image.fromarray(deep))
    np.testing.assert_array_equal(found[..., 2], rgb[..., 0])


def test_a_palette_gives_its_colours(tmp_path, rgb):
    few = Image.fromarray(rgb).quantize(16)
    expected = np.asarray(few.convert("RGB"))
    for name in ("a.png", "a.gif"):
        found = saved(tmp_path / name, few)
        np.testing.assert_array_equal(found, expected)


def test_what_is_transparent_is_white(tmp_path, rgb):
    alpha = np.zeros((ROWS, COLUMNS, 1), np.uint8)
    alpha[:, : COLUMNS // 2] = 255
    image = Image.fromarray(np.concatenate([rgb, alpha], axis=-1))
    found = saved(tmp_path / "a.png", image)
    half = COLUMNS // 2
    np.testing.assert_array_equal(found[:, :half], rgb[:, :half])
    assert (found[:, half:] == 255).all()
    palette = Image.new("P", (COLUMNS, ROWS))
    palette.putpalette([10, 20, 30])
    found = saved(tmp_path / "b.gif", palette, transparency=0)
    assert (found == 255).all()


def test_an_animation_gives_its_first_image(tmp_path, rgb):
    first, second = (
        Image.new("RGB", (COLUMNS, ROWS), c) for c in ("red", "blue")
    )
    found = saved(
        tmp_path / "a.gif", first, save_all=True, append_images=[second]
    )
    assert (found == (255, 0, 0)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_camera_was_held_in_any_way(tmp_path, orientation):
    # What EXIF 2.3 says of rows and columns, written out with NumPy.
    stored_from_upright = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: a.transpose(1, 0, 2)[::-1],
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: a.transpose(1, 0, 2)[:, ::-1],
    }
    upright = np.zeros((ROWS, COLUMNS, 3), np.uint8)
    upright[:3] = 90
    upright[:, :5] += 60
    stored = np.ascontiguousarray(stored_from_upright[orientation](upright))
    exif = Image.Exif()
    exif[274] = orientation
    found = saved(tmp_path / "a.png", Image.fromarray(stored), exif=exif)
    np.testing.assert_array_equal(found, upright)


def test_unreadable_notes_of_the_camera_do_no_harm(tmp_path, rgb):
    image = Image.fromarray(rgb)
    found = saved(tmp_path / "a.png", image, exif=b"Exif\x00\x00broken")
    np.testing.assert_array_equal(found, rgb)


def test_crop_takes_the_middle_pad_and_stretch_the_whole(tmp_path):
    # Three upright stripes; a square of the middle holds one of them.
    wide = np.zeros((8, 24, 3), np.uint8)
    wide[:, :8], wide[:, 8:16], wide[:, 16:] = (255, 0, 0), 255, (0, 0, 255)
    image = Image.fromarray(wide)
    np.testing.assert_array_equal(fit_to(image, 8, "crop"), wide[:, 8:16])
    padded = fit_to(Image.fromarray(wide), 24, "pad")
    np.testing.assert_array_equal(padded[8:16], wide)
    assert not padded[:8].any() and not padded[16:].any()
    stretched = fit_to(image, 9, "stretch")
    assert stretched.shape == (9, 9, 3)
    np.testing.assert_array_equal(stretched[4, [1, 4, 7]], wide[0, [1, 12, 20]])
    tall = Image.fromarray(np.ascontiguousarray(wide.transpose(1, 0, 2)))
    np.testing.assert_array_equal(fit_to(tall, 8, "crop"), wide[:, 8:16])


def write_head(path, width, height):
    """A PNG that says it is that large, and stops there."""

    def chunk(name, content):
        check = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + check

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def broken_files(folder):
    """A file of each kind that cannot be used, and what is said of it."""
    write_image(folder / "whole.jpg", side=64)
    whole = (folder / "whole.jpg").read_bytes()
    write_image(folder / "whole.png", side=64)
    png = (folder / "whole.png").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "cut.png").write_bytes(png[: len(png) // 2])
    damaged = bytearray(png)
    damaged[len(png) // 2] ^= 255
    (folder / "damaged.png").write_bytes(damaged)
    (folder / "text.jpg").write_text("This is no image.")
    (folder / "empty.png").touch()
    (folder / "dangling.png").symlink_to(folder / "nothing.png")
    Image.new("RGB", (1, 1)).save(folder / "dot.png")
    Image.new("RGB", (5000, 2)).save(folder / "line.png")
    write_head(folder / "huge.png", 10_000, 10_000)
    write_head(folder / "larger.png", 20_000, 10_000)
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(
        folder / "tiff.png", "TIFF"
    )
    for name in ("whole.jpg", "whole.png"):
        (folder / name).unlink()
    return {
        "cut.jpg": "truncated",
        "cut.png": "truncated",
        "damaged.png": "broken data stream",
        "text.jpg": "no image, or a damaged one",
        "empty.png": "no image, or a damaged one",
        "dangling.png": "No such file or directory",
        "dot.png": "1x1 pixels, where each side must have at least 8",
        "line.png": "5000x2 pixels",
        "huge.png": "10000x10000 are 100 megapixels, where 89 are the most",
        "larger.png": "200000000 pixels",
        "tiff.png": "no image, or a damaged one",
    }


@pytest.mark.filterwarnings("ignore:Image size:Warning")
def test_a_file_that_cannot_be_used_says_why(tmp_path):
    for name, reason in broken_files(tmp_path).items():
        with pytest.raises(BadImageError, match=re.escape(reason)):
            size_of(tmp_path / name)
            read_image(tmp_path / name, 64)
