"""The networks that the paper's tables stand on, by name.

| name | network | parameters |
| --- | --- | --- |
| `resnet8` ... `resnet110` | CIFAR ResNet, arXiv 1512.03385 | 0.08 to 1.7 M |
| `resnet8_leaky` ... | the same with leaky ReLU | the same |
| `resnet18`, `resnet34`, `resnet50` | the same for ImageNet | 12 to 26 M |
| `densenet40_12` | CIFAR DenseNet, arXiv 1608.06993 | 1.0 M |
| `densenet100_12` | the same with bottlenecks (DenseNet-BC) | 0.8 M |
| `densenet250_24`, `densenet190_40` | wider ones | 15.3, 25.6 M |
| `resnext29_8x64` | CIFAR ResNeXt, arXiv 1611.05431 | 34.4 M |
| `resnext29_16x64` | the same with twice the groups | 68.2 M |
| `mobilenetv2` | MobileNetV2, arXiv 1801.04381 | 2.3 M |
| `vgg16` | VGG-16 with batch normalisation, arXiv 1409.1556 | 14.7 M |
| `wrn28_10` | Wide ResNet, arXiv 1605.07146 | 36.5 M |

They take raw pixels, return logits, and are made of stock Keras layers only:
a saved one needs nothing beside its file. Importing this package does not
import Keras; `build` does.
"""

from keras_graft.models.registry import build
from keras_graft.models.registry import check_name
from keras_graft.models.registry import names

__all__ = ["build", "check_name", "names"]
