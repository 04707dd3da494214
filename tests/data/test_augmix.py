import numpy as np
import pytest
import tensorflow as tf

from keras_graft.data import order
from keras_graft.data.augmix import OPERATIONS
from keras_graft.data.augmix import augmix
from keras_graft.data.augmix import draw_weights

SEED = order.seed_pair(0)


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.float32)


def test_weights_of_chains_sum_to_one_and_are_dirichlet():
    weights, share = (t.numpy() for t in draw_weights(4000, SEED))
    assert weights.shape == (4000, 3) and share.shape == (4000,)
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-6)
    assert weights.min() >= 0
    # Dirichlet(1, 1, 1) has means 1/3, variances 2/36.
    np.testing.assert_allclose(weights.mean(0), 1 / 3, atol=0.02)
    np.testing.assert_allclose(weights.var(0), 1 / 18, atol=0.005)
    # Beta(1, 1) has mean 1/2, variance 1/12.
    assert abs(share.mean() - 0.5) < 0.02 and abs(share.var() - 1 / 12) < 0.005
    assert abs(np.corrcoef(share, weights[:, 0])[0, 1]) < 0.05


def test_each_image_is_blended_in_its_own_way_from_its_seed():
    images = np.repeat(noise(1, 16, 16, 3), 24, axis=0)
    first = augmix(tf.constant(images), SEED).numpy()
    again = augmix(tf.constant(images), SEED).numpy()
    other = augmix(tf.constant(images), order.seed_pair(1)).numpy()
    np.testing.assert_array_equal(first, again)
    assert (first != other).any((1, 2, 3)).all()
    assert len({picture.tobytes() for picture in first}) == 24
    assert first.min() >= 0 and first.max() <= 255
    # The image itself has the share that was drawn for it: what is far from
    # it has a small one.
    _, share = draw_weights(24, order.fold_in(SEED, 0))
    distance = np.abs(first - images).mean((1, 2, 3))
    assert np.corrcoef(distance, share)[0, 1] > 0.5


@pytest.mark.parametrize("shape", [(1, 8, 9, 1), (3, 1, 1, 3)])
def test_few_small_and_grey_images_are_taken(shape):
    result = augmix(tf.constant(noise(*shape)), SEED).numpy()
    assert result.shape == shape and result.dtype == np.float32
    assert result.min() >= 0 and result.max() <= 255


def test_amounts_are_those_of_the_paper():
    def operate(name, images):
        one = tf.ones([1, 1, 1, 1])
        return OPERATIONS[name](tf.constant(images), one, one).numpy()[0]

    assert len(OPERATIONS) == 9
    side = np.arange(33, dtype=np.float32)
    ramp = np.zeros((1, 33, 33, 1), np.float32)
    ramp[0, :, :, 0] = side
    # Far from the border, at magnitude 1, which severity 10 would be.
    assert abs(operate("translate_x", ramp)[16, 16, 0] - 16) == pytest.approx(
        11
    )
    assert abs(operate("shear_x", ramp)[10, 16, 0] - 16) == pytest.approx(3)
    turned = operate("rotate", ramp)[16, :, 0]
    np.testing.assert_allclose(
        turned[8:25] - 16, np.cos(np.pi / 6) * (side[8:25] - 16), atol=1e-3
    )
