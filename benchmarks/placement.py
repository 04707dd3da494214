"""Bytes that devices send: data parallel against one network on one device.

    python benchmarks/placement.py

Prints the table of benchmarks/NOTES.md, section "Network k on device k", from
the
formulas of `keras_graft.runs.costs`. Nothing is trained.
"""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

from keras_graft import models
from keras_graft.runs import costs

# Images of a device in a step, data parallel: 128 and 256 on eight.
_IMAGES = {"ResNet-32": 16, "ResNet-50": 32}
_PLACES = {"8 GPUs": 8, "64 hosts of 8": 512}


def main() -> None:
    print(table(sizes()))


def sizes() -> dict[str, costs.NetworkSize]:
    """The networks of the table: CIFAR-10's and ImageNet's."""
    return {
        "ResNet-32": costs.size_of(models.build("resnet32", 10)),
        "ResNet-50": costs.size_of(
            keras.applications.ResNet50(
                weights=None, classifier_activation=None
            )
        ),
    }


def table(found: dict[str, costs.NetworkSize]) -> str:
    """Markdown: a row for each network, number of networks and place."""
    lines = [
        "| network | N | devices | step, data parallel | step, placed | "
        "graft, placed | state, data parallel | state, placed |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, size in found.items():
        for place, devices in _PLACES.items():
            for n in (2, 4, 8):
                cells = (
                    costs.data_parallel_step_bytes(size, n, devices),
                    costs.placed_step_bytes(size, n, devices, _IMAGES[name]),
                    costs.placed_graft_bytes(size),
                    costs.state_bytes(size, n),
                    costs.state_bytes(size, 1),
                )
                row = " | ".join(f"{cell / 1e6:,.2f}" for cell in cells)
                lines.append(f"| {name} | {n} | {place} | {row} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
