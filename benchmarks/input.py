"""Images a second from a folder of JPEG files, beside bare `tf.data`.

    python benchmarks/input.py --images=512 --json=FILE

Writes files of 500x375 pixels into a temporary folder, and reads them at
224x224 by turns: as `--dataset=folder:` does for three networks (padded,
cropped and mirrored, or a random resized crop for each), as a bare `tf.data`
pipeline does for one view, and as `keras.utils.image_dataset_from_directory`
with Keras' layers does for one network. No image is kept decoded. Prints
ratios over the bare pipeline, and with `--memory` how much higher the peak of
memory is of a process that reads four times as many files, as random resized
crops for three networks: each of the two reads nothing else.
"""

import argparse
import dataclasses
import functools
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from measuring.intervals import estimate
from measuring.intervals import ratios
from measuring.json_file import write
from measuring.machine import describe_machine
from measuring.memory import peak_rss_mib
from measuring.turns import Deadline
from measuring.turns import interleave
from PIL import Image

from keras_graft import data

WIDTH, HEIGHT, SIDE = 500, 375, 224
BATCH = 64
# Batches that a side may have made while it waited for its turn; those that
# are timed.
READY, STEPS = 6, 10
NETWORKS = 3
MEMORY = "memory_mib_of_four_times_the_files"
# What each side is held against, and the least it should reach.
FLOORS = {
    "three views, standard": ("bare", 0.9),
    "three views, resized_crop": ("bare", 0.6),
    "one view, standard": ("keras", 1.0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--json")
    # What the process is asked whose memory is measured.
    parser.add_argument("--peak_of", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak_of:
        print(peak_of_reading(pathlib.Path(arguments.peak_of)))
        return
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder) / "images"
        write_images(root, arguments.images)
        sides = make_sides(root)
        for side in sides.values():
            side()  # Traces it, and brings the files into the page cache.
        speeds = interleave(
            sides, arguments.rounds, Deadline(60 * arguments.minutes), print
        )
        found = summary(speeds)
        if arguments.memory:
            found[MEMORY] = more_memory(root)
    found["machine"] = describe_machine()
    print(table(found))
    write(arguments.json, found)


def write_images(root: pathlib.Path, count: int) -> None:
    """Writes smooth images with some noise, as photographs have it."""
    rng = np.random.default_rng(0)
    for i in range(count):
        coarse = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        smooth = Image.fromarray(coarse).resize((WIDTH, HEIGHT))
        noise = rng.integers(-12, 13, (HEIGHT, WIDTH, 3))
        pixels = np.clip(np.asarray(smooth) + noise, 0, 255).astype(np.uint8)
        path = root / f"class_{i % 4}" / f"{i:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, quality=90)


def make_sides(root: pathlib.Path) -> dict:
    """By name: a function that reads some batches, and says how fast."""
    made = {
        "bare": bare(sorted(map(str, root.rglob("*.jpg")))),
        "keras": with_keras_layers(root),
        "three views, standard": graft(root, "standard", NETWORKS),
        "three views, resized_crop": graft(root, "resized_crop", NETWORKS),
        "one view, standard": graft(root, "standard", 1),
    }
    return {
        name: functools.partial(speed, iter(batches))
        for name, batches in made.items()
    }


def graft(
    root: pathlib.Path, augment: str, num_networks: int
) -> tf.data.Dataset:
    """Batches as `--dataset=folder:` has them."""
    train = data.load(
        f"folder:{root}",
        image_size=SIDE,
        validation_fraction=0,
        cache="none",
        whole=augment == "resized_crop",
    ).train
    return data.training_batches(
        train,
        batch_size=BATCH,
        seed=0,
        augment=augment,
        num_networks=num_networks,
    )


def speed(batches: Iterator) -> dict[str, float]:
    """Images a second, and milliseconds of a processor for an image.

    The latter says on a busy machine too what is faster.
    """
    for _ in range(READY):
        next(batches)
    begin, before = time.perf_counter(), time.process_time()
    for _ in range(STEPS):
        next(batches)
    images = STEPS * BATCH
    return {
        "rate": images / (time.perf_counter() - begin),
        "milliseconds": 1e3 * (time.process_time() - before) / images,
    }


def bare(files: list[str]) -> tf.data.Dataset:
    """Decode, resize, crop and flip of one view, as one writes it."""

    def view(path):
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        image = tf.image.resize(image[:, 62:437], (SIDE + 32, SIDE + 32))
        image = tf.image.random_crop(image, (SIDE, SIDE, 3))
        return tf.image.random_flip_left_right(image)

    return (
        tf.data.Dataset.from_tensor_slices(files)
        .shuffle(len(files))
        .repeat()
        .map(view, tf.data.AUTOTUNE)
        .batch(BATCH)
        .prefetch(2)
    )


def with_keras_layers(root: pathlib.Path) -> tf.data.Dataset:
    layers = keras.Sequential(
        [
            keras.layers.RandomTranslation(0.125, 0.125, "constant"),
            keras.layers.RandomFlip("horizontal"),
        ]
    )
    return (
        keras.utils.image_dataset_from_directory(
            root,
            image_size=(SIDE, SIDE),
            batch_size=BATCH,
            crop_to_aspect_ratio=True,
            verbose=False,
        )
        .repeat()
        .map(lambda x, y: (layers(x, training=True), y), tf.data.AUTOTUNE)
        .prefetch(2)
    )


def peak_of_reading(root: pathlib.Path) -> float:
    """Reads some batches; returns the peak of this process so far, in MiB."""
    batches = iter(graft(root, "resized_crop", NETWORKS))
    for _ in range(READY):
        next(batches)
    return peak_rss_mib(os.getpid())


def more_memory(root: pathlib.Path) -> float:
    """MiB that the peak is higher by with four times as many files.

    In a process of its own each time: a peak is never taken back, and what
    else this one has read would hide it.
    """

    def peak():
        done = subprocess.run(
            [sys.executable, __file__, f"--peak_of={root}"],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return float(done.stdout.split()[-1])

    before = peak()
    for path in sorted(root.rglob("*.jpg")):
        for copy in range(3):
            shutil.copy(path, path.with_name(f"{copy}_{path.name}"))
    return peak() - before


def summary(speeds: dict[str, list[dict[str, float]]]) -> dict:
    """Each side's speed, and each over the one that it is held against."""

    def column(name, key):
        return [row[key] for row in speeds[name]]

    found: dict = {"sides": {}, "ratios": {}}
    for name in speeds:
        found["sides"][name] = {
            key: estimate(column(name, key)).median
            for key in ("rate", "milliseconds")
        }
    for name, (other, floor) in FLOORS.items():
        over = estimate(ratios(column(name, "rate"), column(other, "rate")))
        work = ratios(
            column(other, "milliseconds"), column(name, "milliseconds")
        )
        found["ratios"][name] = {
            "over": other,
            "floor": floor,
            "rate": dataclasses.asdict(over),
            "processor_time": dataclasses.asdict(estimate(work)),
        }
    return found


def table(found: dict) -> str:
    lines = [
        f"  {name:<28}{side['rate']:>8.0f} images a second"
        f"{side['milliseconds']:>8.2f} ms of a processor each"
        for name, side in found["sides"].items()
    ]
    for name, row in found["ratios"].items():
        rate, work = row["rate"], row["processor_time"]
        lines.append(
            f"{name} over {row['over']}: {rate['median']:.2f} "
            f"({rate['low']:.2f} to {rate['high']:.2f}), by processor time "
            f"{work['median']:.2f} ({work['low']:.2f} to {work['high']:.2f}); "
            f"floor {row['floor']}"
        )
    if MEMORY in found:
        lines.append(f"with four times the files: {found[MEMORY]:.0f} MiB more")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
