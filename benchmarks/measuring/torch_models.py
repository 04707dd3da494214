"""The benchmark's networks in PyTorch, as the reference has them."""

import re

import torch
from torch import nn
from torch.nn import functional

# Of each stage: expansion, filters, blocks, strides of the first block.
_MOBILE_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
# Blocks of each stage of the ResNets for ImageNet, and whether bottlenecks.
_IMAGENET_STAGES = {
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
}


def build(name: str, num_classes: int) -> nn.Module:
    """Builds an untrained network.

    Args:
        name: For images of 32x32x3 `"resnet20"`, ... (depth 6n + 2) or
            `"mobilenetv2"`; for larger ones `"resnet18"`, `"resnet34"` or
            `"resnet50"`.
        num_classes: Number of logits.

    Raises:
        ValueError: If there is no such network here.
    """
    if name == "mobilenetv2":
        return MobileNetV2(num_classes)
    resnet = re.fullmatch(r"resnet(\d+)", name)
    depth = int(resnet[1]) if resnet else 0
    if depth in _IMAGENET_STAGES:
        return ImageNetResNet(depth, num_classes)
    if resnet is None or (depth - 2) % 6:
        raise ValueError(
            "The PyTorch side knows mobilenetv2, resnet18, resnet34, resnet50 "
            f"and resnet<6n + 2>. Received: {name!r}"
        )
    return ResNet(depth, num_classes)


def conv_bn(
    channels: int, filters: int, size: int, strides: int = 1, groups: int = 1
) -> nn.Sequential:
    """Convolution without bias and BatchNorm."""
    return nn.Sequential(
        nn.Conv2d(
            channels,
            filters,
            size,
            strides,
            padding=size // 2,
            groups=groups,
            bias=False,
        ),
        nn.BatchNorm2d(filters),
    )


class _ResidualBlock(nn.Module):
    """Two convolutions; a shortcut without parameters."""

    def __init__(self, channels, filters, strides):
        super().__init__()
        self.first = conv_bn(channels, filters, 3, strides)
        self.second = conv_bn(filters, filters, 3)
        self.strides = strides
        self.new = filters - channels

    def forward(self, x):
        residual = self.second(functional.relu(self.first(x)))
        if self.strides > 1:
            x = x[:, :, :: self.strides, :: self.strides]
        if self.new:
            before = self.new // 2
            x = functional.pad(x, (0, 0, 0, 0, before, self.new - before))
        return functional.relu(residual + x)


class ResNet(nn.Module):
    """Three stages of 16, 32 and 64 filters, arXiv 1512.03385 section 4.2.

    Args:
        depth: 6n + 2 for n blocks a stage.
        num_classes: Number of logits.
    """

    def __init__(self, depth: int, num_classes: int):
        super().__init__()
        self.stem = conv_bn(3, 16, 3)
        blocks, channels = [], 16
        for stage, filters in enumerate((16, 32, 64)):
            for n in range((depth - 2) // 6):
                strides = 2 if stage and not n else 1
                blocks.append(_ResidualBlock(channels, filters, strides))
                channels = filters
        self.blocks = nn.Sequential(*blocks)
        self.classifier = nn.Linear(64, num_classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight)

    def forward(self, x):
        x = self.blocks(functional.relu(self.stem(x)))
        return self.classifier(x.mean((2, 3)))


class _ImageNetBlock(nn.Module):
    """Two convolutions, or a bottleneck of three; a projecting shortcut."""

    def __init__(self, channels, filters, strides, bottleneck):
        super().__init__()
        if bottleneck:
            outgoing = 4 * filters
            layers = [
                conv_bn(channels, filters, 1),
                conv_bn(filters, filters, 3, strides),
                conv_bn(filters, outgoing, 1),
            ]
        else:
            outgoing = filters
            layers = [
                conv_bn(channels, filters, 3, strides),
                conv_bn(filters, filters, 3),
            ]
        self.layers = nn.ModuleList(layers)
        self.shortcut = nn.Identity()
        if strides > 1 or channels != outgoing:
            self.shortcut = conv_bn(channels, outgoing, 1, strides)

    def forward(self, x):
        residual = x
        for layer in self.layers[:-1]:
            residual = functional.relu(layer(residual))
        return functional.relu(self.layers[-1](residual) + self.shortcut(x))


class ImageNetResNet(nn.Module):
    """Stages of 64 to 512 filters, arXiv 1512.03385 section 4.1.

    Args:
        depth: 18, 34 or 50.
        num_classes: Number of logits.
    """

    def __init__(self, depth: int, num_classes: int):
        super().__init__()
        counts, bottleneck = _IMAGENET_STAGES[depth]
        self.stem = conv_bn(3, 64, 7, 2)
        blocks, channels = [], 64
        for stage, count in enumerate(counts):
            filters = 64 * 2**stage
            for n in range(count):
                strides = 2 if stage and not n else 1
                blocks.append(
                    _ImageNetBlock(channels, filters, strides, bottleneck)
                )
                channels = filters * (4 if bottleneck else 1)
        self.blocks = nn.Sequential(*blocks)
        self.classifier = nn.Linear(channels, num_classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight)

    def forward(self, x):
        x = functional.max_pool2d(functional.relu(self.stem(x)), 3, 2, 1)
        return self.classifier(self.blocks(x).mean((2, 3)))


class _InvertedResidual(nn.Module):
    def __init__(self, channels, expansion, filters, strides):
        super().__init__()
        wide = expansion * channels
        self.expand = conv_bn(channels, wide, 1)
        self.depthwise = conv_bn(wide, wide, 3, strides, groups=wide)
        self.project = conv_bn(wide, filters, 1)
        self.adds = strides == 1
        self.shortcut = nn.Identity()
        if self.adds and channels != filters:
            self.shortcut = conv_bn(channels, filters, 1)

    def forward(self, x):
        wide = functional.relu(self.expand(x))
        residual = self.project(functional.relu(self.depthwise(wide)))
        return residual + self.shortcut(x) if self.adds else residual


class MobileNetV2(nn.Module):
    """Seventeen inverted residuals, for images of 32 pixels.

    Args:
        num_classes: Number of logits.
    """

    def __init__(self, num_classes: int):
        super().__init__()
        self.stem = conv_bn(3, 32, 3)
        blocks, channels = [], 32
        for expansion, filters, count, strides in _MOBILE_STAGES:
            for n in range(count):
                blocks.append(
                    _InvertedResidual(
                        channels, expansion, filters, 1 if n else strides
                    )
                )
                channels = filters
        self.blocks = nn.Sequential(*blocks)
        self.head = conv_bn(channels, 1280, 1)
        self.classifier = nn.Linear(1280, num_classes)

    def forward(self, x):
        x = self.blocks(functional.relu(self.stem(x)))
        x = functional.relu(self.head(x))
        return self.classifier(x.mean((2, 3)))


def count_parameters(network: nn.Module) -> int:
    """Trainable parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def device() -> torch.device:
    """The first GPU of this PyTorch, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
