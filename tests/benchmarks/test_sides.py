"""What the sides compute: the workload, the trainer and the rival."""

import os

import numpy as np
import pytest
from measuring.rival import Mode
from measuring.rival import candidate_modes
from measuring.workload import Workload
from measuring.workload import synthetic_images


def test_images_are_shaped_like_cifar():
    images, labels = synthetic_images(50, seed=0)
    assert images.shape == (50, 32, 32, 3)
    assert images.dtype == np.uint8
    assert labels.dtype == np.int32
    assert set(labels) <= set(range(10))
    assert (images != synthetic_images(50, seed=1)[0]).any()
    assert synthetic_images(2, seed=0, size=48)[0].shape == (2, 48, 48, 3)


def test_epoch_without_a_whole_batch_is_refused():
    with pytest.raises(ValueError, match="whole batch.*100 images.*128"):
        Workload(2, "resnet8", train_images=100)


def test_images_that_no_patches_fill_are_refused():
    with pytest.raises(ValueError, match="multiple of 4. Received: 30"):
        Workload(2, "resnet8", image_size=30)


def test_sides_of_older_versions_are_not_told_what_they_do_not_know():
    config = Workload(2, "resnet8").config()
    assert config["flags"] == ()
    assert "image_size" not in config
    larger = Workload(2, "resnet8", image_size=64)
    assert Workload(**larger.config()) == larger


def test_ways_to_share_the_machine():
    shared = {(m.at_once, m.threads) for m in candidate_modes(4, 2)}
    assert shared == {(1, 2), (2, 1), (4, 1)}
    shared = {(m.at_once, m.threads) for m in candidate_modes(4, 16)}
    assert shared == {(1, 16), (2, 8), (4, 4), (4, 1)}
    assert {m.channels_last for m in candidate_modes(4, 2)} == {False, True}
    assert {m.channels_last for m in candidate_modes(4, 2, True)} == {True}
    assert str(Mode(1, 2, True)) == ("1 at once, 2 threads each, channels last")


def test_entropy_of_the_rival_is_the_reference_one():
    torch = pytest.importorskip("torch")
    from measuring import torch_protocol

    # Whole numbers: no weight is at an edge by rounding.
    kernel = np.random.default_rng(0).integers(0, 11, (16, 8, 3, 3))
    counts = np.bincount(kernel.flatten())
    tensor = torch.tensor(kernel, dtype=torch.float32)

    def entropy(counts):
        shares = counts / kernel.size
        return -(shares * np.log(shares)).sum()

    # The reference loses the largest weights, which are above its last bin.
    assert torch_protocol.histogram_entropy(tensor) == pytest.approx(
        entropy(counts[:10])
    )
    with_largest = np.append(counts[:9], counts[9] + counts[10])
    assert torch_protocol.fast_entropy(tensor) == pytest.approx(
        entropy(with_largest)
    )


def test_rival_grafts_as_the_reference_does():
    torch = pytest.importorskip("torch")
    from measuring import torch_models
    from measuring import torch_protocol

    torch.manual_seed(0)
    own, peer = (torch_models.build("resnet8", 10) for _ in range(2))
    state = {k: v.clone() for k, v in own.state_dict().items()}
    kernel = "stem.0.weight"
    difference = torch_protocol.histogram_entropy(state[kernel]) - (
        torch_protocol.histogram_entropy(peer.state_dict()[kernel])
    )
    share = round(0.4 / np.pi * np.arctan(500 * difference) + 0.5, 2)
    assert 0.3 <= share <= 0.7
    torch_protocol.graft(own, peer.state_dict())
    for name in (kernel, "stem.1.weight"):
        expected = share * state[name] + (1 - share) * peer.state_dict()[name]
        torch.testing.assert_close(own.state_dict()[name], expected)


@pytest.mark.parametrize(
    "name", ["resnet20", "mobilenetv2", "resnet18", "resnet50"]
)
def test_rival_trains_networks_of_the_same_size(name):
    pytest.importorskip("torch")
    from measuring import torch_models

    from keras_graft import models

    theirs = torch_models.count_parameters(torch_models.build(name, 10))
    ours = models.build(name, 10)
    assert theirs == sum(np.prod(v.shape) for v in ours.trainable_variables)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_trainer_computes_in_the_precision_of_the_workload(tmp_path, precision):
    from measuring.keras_side import launch_settings

    workload = Workload(1, "resnet8", precision=precision)
    assert launch_settings(workload, str(tmp_path)).precision == precision


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_rival_computes_in_the_precision_of_the_workload(tmp_path, precision):
    torch = pytest.importorskip("torch")
    from measuring.torch_side import Process

    workload = Workload(1, "resnet8", 16, 16, 16, precision)
    network = Process(workload, tmp_path, 0, os.pipe()).network
    outputs = network(torch.zeros(1, 3, 32, 32))
    assert str(outputs.dtype) == f"torch.{precision}"
    assert {p.dtype for p in network.parameters()} == {torch.float32}


def test_rival_augments_like_the_trainer():
    torch = pytest.importorskip("torch")
    from measuring import torch_protocol

    torch.manual_seed(0)
    image = torch.arange(1, 65).reshape(1, 1, 8, 8)
    found = torch_protocol.pad_crop_flip(image.repeat(200, 1, 1, 1))
    assert found.shape == (200, 1, 8, 8)
    padded = np.pad(image[0, 0].numpy(), 4)
    windows = [
        window
        for top in range(9)
        for left in range(9)
        for window in [padded[top : top + 8, left : left + 8]]
    ]
    known = {w.tobytes() for w in windows}
    known |= {np.ascontiguousarray(w[:, ::-1]).tobytes() for w in windows}
    crops = {crop[0].numpy().tobytes() for crop in found}
    assert crops <= known
    assert len(crops) > 50
