"""Folders laid out like the benchmarks, with small pictures."""

import numpy as np
from PIL import Image


def write_picture(path, value=0, size=(4, 8)):
    """A picture of one grey, (width, height), of the suffix's format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    grey = np.full((size[1], size[0], 3), value, np.uint8)
    Image.fromarray(grey).save(path)
    return path


def market_folder(root, names=None):
    """Two identities to train on, two others, a distractor and junk."""
    names = names or {
        "bounding_box_train": [
            *("0002_c1s1_000451_03.jpg", "0002_c2s1_000776_01.jpg"),
            *("0007_c3s3_077419_03.jpg", "0007_c6s3_077419_03.jpg"),
        ],
        "query": ["0001_c1s1_001051_00.jpg", "0003_c4s6_015641_00.jpg"],
        "bounding_box_test": [
            *("-1_c1s1_000401_03.jpg", "0000_c1s1_000151_01.jpg"),
            *("0001_c1s1_001051_03.jpg", "0001_c2s1_000301_00.jpg"),
            "0003_c1s6_015971_02.jpg",
        ],
    }
    for folder, files in names.items():
        for value, name in enumerate(files):
            write_picture(root / folder / name, 10 * value)
        (root / folder / "Thumbs.db").write_bytes(b"left by a system")
    return root


def msmt17_folder(root, folders=("train", "test")):
    """Identities counted from 0 in both parts, as MSMT17 has them."""
    lists = {
        "list_train.txt": (folders[0], [(0, 1), (0, 2), (1, 3)]),
        "list_val.txt": (folders[0], [(0, 15)]),
        "list_query.txt": (folders[1], [(0, 1)]),
        "list_gallery.txt": (folders[1], [(0, 2), (1, 1)]),
    }
    for name, (folder, rows) in lists.items():
        lines = []
        for identity, camera in rows:
            file = (
                f"{identity:04}/{identity:04}_000_{camera:02}_0303morning"
                "_0008_0.jpg"
            )
            write_picture(root / folder / file)
            lines.append(f"{file} {identity}\n")
        (root / name).write_text("".join(lines))
    return root
