"""Floating-point operations of a network and of a run."""

import math

import keras

from keras_graft.structure.conv_layers import leaf_layers

# Forward, gradient of the activations, gradient of the weights: each
# multiplies the same matrices once.
_TRAINING_PASSES = 3
_COUNTED = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.Dense,
)


def inference_flops(network: keras.Model) -> int:
    """Operations of convolutions and dense layers for one image.

    A multiplication and an addition count as two. Normalisation, activation
    and pooling are not counted.

    Args:
        network: A built model of Conv2D, DepthwiseConv2D and Dense layers,
            each called once.
    """
    return 2 * sum(
        math.prod(layer.output.shape[1:-1]) * math.prod(layer.kernel.shape)
        for _, layer in leaf_layers(network)
        if isinstance(layer, _COUNTED)
    )


def training_flops(
    network: int, images: int, num_networks: int = 1, teacher: int = 0
) -> int:
    """Operations of a run: three times the forward pass for each image.

    Args:
        network: `inference_flops` of one network.
        images: Images that each network is trained on, over all epochs.
        num_networks: Networks trained together.
        teacher: `inference_flops` of the teacher, which sees every image of
            every network; its own training is a run of its own.

    Returns:
        Operations, without validation and tests.
    """
    return images * num_networks * (_TRAINING_PASSES * network + teacher)
