"""Operations against counts by hand."""

from keras_graft import models
from keras_graft.structure.flops import inference_flops
from keras_graft.structure.flops import training_flops


def test_resnet8_counted_by_hand():
    stem = 32 * 32 * 3 * 3 * 3 * 16
    stage1 = 2 * 32 * 32 * 3 * 3 * 16 * 16
    stage2 = 16 * 16 * 3 * 3 * (16 * 32 + 32 * 32)
    stage3 = 8 * 8 * 3 * 3 * (32 * 64 + 64 * 64)
    logits = 64 * 10
    network = models.build("resnet8", 10, (32, 32, 3))
    assert stem + stage1 + stage2 + stage3 + logits == 12_239_488
    assert inference_flops(network) == 2 * 12_239_488


def test_half_the_image_costs_a_quarter_but_for_the_logits():
    full = inference_flops(models.build("resnet8", 10, (32, 32, 3))) - 2 * 640
    half = inference_flops(models.build("resnet8", 10, (16, 16, 3))) - 2 * 640
    assert full == 4 * half


def test_depthwise_convolution_counts_one_channel_a_filter():
    import keras

    x = keras.Input((8, 8, 6))
    y = keras.layers.DepthwiseConv2D(3, padding="same")(x)
    assert inference_flops(keras.Model(x, y)) == 2 * 8 * 8 * 9 * 6


def test_grouped_convolution_counts_the_channels_of_its_group():
    import keras

    x = keras.Input((8, 8, 6))
    y = keras.layers.Conv2D(4, 1, groups=2)(x)
    assert inference_flops(keras.Model(x, y)) == 2 * 8 * 8 * 3 * 4


def test_training_is_three_forward_passes_and_the_teachers_one():
    assert training_flops(network=100, images=7) == 2100
    assert training_flops(network=100, images=7, num_networks=2) == 4200
    assert training_flops(100, 7, num_networks=2, teacher=50) == 4900
