"""The networks that the paper's tables stand on, by name.

| name | network | parameters |
| --- | --- | --- |
| `resnet8` ... `resnet110` | CIFAR ResNet, arXiv 1512.03385 | 0.08 to 1.7 M |
| `resnet8_leaky` ... | the same with leaky ReLU | the same |
| `resnet18`, `resnet34`, `resnet50` | the same for ImageNet | 12 to 26 M |
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
