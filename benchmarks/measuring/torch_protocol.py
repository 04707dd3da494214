"""One process of the reference's protocol, in PyTorch.

What the reference (the released code of arXiv 2001.05868) does in each of its
N processes, written anew: train an epoch, validate, save the weights to a
file, wait for the file of the process before this one in the ring, and blend
every tensor with the peer's, by the entropy of the last convolution kernel.
It has no distillation between peers.

Where it differs, it is faster: images stay in memory as uint8 and a batch is
augmented at once, where the reference augments image by image in two further
processes; the peer's file is looked for every few milliseconds, not every ten
seconds.
"""

import math
import pathlib
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional

# The paper's A and c, in the reference's defaults.
_AMPLITUDE = 0.4
_SLOPE = 500.0
_BINS = 10
_PADDING = 4
_POLL_SECONDS = 0.005
_WAIT_SECONDS = 1800.0


class Loader:
    """Images in memory, in an order and augmentation of this process' own.

    Args:
        images: uint8, shape [n, height, width, channels].
        labels: int32, shape [n].
        device: Where batches go.
    """

    def __init__(
        self, images: np.ndarray, labels: np.ndarray, device: torch.device
    ):
        channels_first = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        self._images = torch.from_numpy(channels_first)
        self._labels = torch.from_numpy(labels).long()
        self._device = device

    def training(self, batch_size: int, steps: int):
        """Yields so many batches: shuffled, cropped, mirrored."""
        order = torch.randperm(len(self._labels))
        for step in range(steps):
            rows = order[step * batch_size : (step + 1) * batch_size]
            images = pad_crop_flip(self._images[rows])
            yield self._normalised(images), self._labels[rows].to(self._device)

    def evaluation(self, batch_size: int, count: int):
        """Yields the first `count` images once, in order."""
        for start in range(0, count, batch_size):
            rows = slice(start, min(start + batch_size, count))
            labels = self._labels[rows].to(self._device)
            yield self._normalised(self._images[rows]), labels

    def _normalised(self, images):
        return (images.to(self._device).float() - 120.0) / 60.0


def pad_crop_flip(images: torch.Tensor) -> torch.Tensor:
    """Pads with black, crops at random, mirrors one image in two.

    Args:
        images: Shape [batch, channels, height, width].
    """
    count, _, height, width = images.shape
    padded = functional.pad(images, (_PADDING,) * 4)
    tops, lefts = torch.randint(0, 2 * _PADDING + 1, (2, count))
    columns = torch.arange(width).expand(count, -1)
    mirrored = torch.rand(count, 1) < 0.5
    columns = torch.where(mirrored, width - 1 - columns, columns)
    rows = tops[:, None] + torch.arange(height)
    columns = lefts[:, None] + columns
    pick = torch.arange(count)[:, None, None]
    # Indices on both sides of a slice put its axis last.
    cropped = padded[pick, :, rows[:, :, None], columns[:, None, :]]
    return cropped.permute(0, 3, 1, 2).contiguous()


def histogram_entropy(kernel: torch.Tensor) -> float:
    """Entropy of a kernel's weights in ten bins, in nats.

    As the reference computes it: bin by bin, each a comparison of all weights
    with edges that are found anew; the largest weight is in no bin.
    """
    weights = kernel.flatten()
    width = (weights.max() - weights.min()) / _BINS
    total = 0.0
    for n in range(_BINS):
        low = weights.min() + n * width
        high = weights.min() + (n + 1) * width
        inside = torch.sum((weights >= low) * (weights < high))
        share = inside.float() / len(weights)
        if share:
            total -= share * torch.log(share)
    return float(total)


def fast_entropy(kernel: torch.Tensor) -> float:
    """The same by PyTorch's own histogram, which the reference does not use."""
    weights = kernel.flatten().cpu()
    shares = torch.histc(weights, _BINS) / len(weights)
    return float(-torch.special.xlogy(shares, shares).sum())


def graft(network: nn.Module, peer: dict, entropy=histogram_entropy) -> None:
    """Blends all tensors of a network with its peer's.

    Args:
        network: Is changed.
        peer: The peer's `state_dict`.
        entropy: Criterion: kernel -> nats.
    """
    blended, share = {}, 0.5
    for name, own in network.state_dict().items():
        if own.ndim == 4:
            difference = entropy(own) - entropy(peer[name])
            angle = math.atan(_SLOPE * difference)
            share = round(_AMPLITUDE / math.pi * angle + 0.5, 2)
        blended[name] = share * own + (1 - share) * peer[name]
    network.load_state_dict(blended)


def save(network: nn.Module, path: pathlib.Path) -> None:
    """Writes the weights; the file has its name when it is whole."""
    unfinished = path.with_suffix(".part")
    torch.save({"net": network.state_dict()}, unfinished)
    unfinished.rename(path)


def wait_for(path: pathlib.Path) -> dict:
    """The peer's weights, as soon as they are there.

    Raises:
        TimeoutError: If they do not come.
    """
    deadline = time.monotonic() + _WAIT_SECONDS
    while not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"No {path} after {_WAIT_SECONDS:.0f} s")
        time.sleep(_POLL_SECONDS)
    return torch.load(path)["net"]


def train_step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: torch.Tensor,
    labels: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """One step; returns loss and outputs."""
    optimizer.zero_grad()
    outputs = network(images)
    loss = functional.cross_entropy(outputs, labels)
    loss.backward()
    optimizer.step()
    return loss, outputs


def train_epoch(network, optimizer, batches) -> tuple[float, float]:
    """Trains on the batches; returns mean loss and accuracy."""
    network.train()
    total, correct, count = 0.0, 0, 0
    for images, labels in batches:
        loss, outputs = train_step(network, optimizer, images, labels)
        total += loss.item() * len(labels)
        correct += (outputs.argmax(1) == labels).sum().item()
        count += len(labels)
    return total / count, correct / count


@torch.no_grad()
def evaluate(network, batches) -> tuple[float, float]:
    """Mean loss and accuracy on the batches."""
    network.eval()
    total, correct, count = 0.0, 0, 0
    for images, labels in batches:
        outputs = network(images)
        total += functional.cross_entropy(
            outputs, labels, reduction="sum"
        ).item()
        correct += (outputs.argmax(1) == labels).sum().item()
        count += len(labels)
    return total / count, correct / count
