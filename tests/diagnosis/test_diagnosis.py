"""What `diagnose` counts, writes and draws."""

import json
import math

import keras
import numpy as np
import pytest

from keras_graft import models
from keras_graft.diagnosis import diagnose

layers = keras.layers


def sequential(shape, *stack):
    return keras.Sequential([keras.Input(shape), *stack], name="small")


def scaled(kernel, filter_axes, seed=0):
    """A copy whose filters have norms spread over eight decades."""
    rng = np.random.default_rng(seed)
    shape = [1] * kernel.ndim
    for axis in filter_axes:
        shape[axis] = kernel.shape[axis]
    return rng.normal(size=kernel.shape) * 10 ** rng.uniform(-6, 2, shape)


def loop_norms(kernel, filter_axes):
    """l1 norms, one filter after the other."""
    counts = [kernel.shape[axis] for axis in filter_axes]
    norms = []
    for position in np.ndindex(*counts):
        index = [slice(None)] * kernel.ndim
        for axis, i in zip(filter_axes, position, strict=True):
            index[axis] = i
        norms.append(sum(abs(float(w)) for w in kernel[tuple(index)].ravel()))
    return np.array(norms)


def assert_row_equals(row, kernel, filter_axes):
    norms = loop_norms(kernel, filter_axes)
    assert row.filters == len(norms)
    for threshold in (1.0, 0.1, 0.01, 0.001):
        assert row.invalid[threshold] == sum(norms < threshold)
    assert row.l1_mean == pytest.approx(norms.mean(), rel=1e-5)
    assert row.l1_min == pytest.approx(norms.min(), rel=1e-5)
    assert row.l1_max == pytest.approx(norms.max(), rel=1e-5)


@pytest.mark.parametrize(
    ("layer", "shape", "filter_axes", "filters"),
    [
        (layers.Conv1D(7, 3), (9, 4), (2,), 7),
        (layers.Conv2D(7, 3), (9, 9, 4), (3,), 7),
        (layers.Conv2D(6, 3, groups=2), (9, 9, 4), (3,), 6),
        (layers.Conv3D(5, 2), (5, 5, 5, 3), (4,), 5),
        (layers.DepthwiseConv1D(3, depth_multiplier=2), (9, 4), (1, 2), 8),
        (
            layers.DepthwiseConv2D(3, depth_multiplier=2),
            (9, 9, 4),
            (2, 3),
            8,
        ),
        (layers.Conv1DTranspose(7, 3), (9, 4), (1,), 7),
        (layers.Conv2DTranspose(7, 3), (9, 9, 4), (2,), 7),
        (layers.Conv3DTranspose(5, 2), (5, 5, 5, 3), (3,), 5),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_each_layer_type_is_counted_on_its_filter_axes(
    layer, shape, filter_axes, filters
):
    model = sequential(shape, layer)
    kernel = scaled(np.array(layer.kernel), filter_axes)
    layer.kernel.assign(kernel)
    (row,) = diagnose(model).layers
    assert row.kind == type(layer).__name__
    assert row.filters == filters
    assert_row_equals(row, np.array(layer.kernel), filter_axes)


def test_both_kernels_of_a_separable_convolution_are_counted():
    layer = layers.SeparableConv2D(7, 3, depth_multiplier=2, name="sep")
    model = sequential((9, 9, 4), layer)
    depthwise, pointwise = diagnose(model).layers
    assert depthwise.name == "sep/depthwise_kernel"
    assert_row_equals(depthwise, np.array(layer.depthwise_kernel), (2, 3))
    assert pointwise.name == "sep/pointwise_kernel"
    assert_row_equals(pointwise, np.array(layer.pointwise_kernel), (3,))


def test_kernel_with_lora_is_counted_as_the_layer_applies_it():
    layer = layers.Conv2D(6, 3, use_bias=False)
    model = sequential((5, 5, 4), layer)
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(3, 3, 4, 6)) * 1e-3
    layer.kernel.assign(kernel)
    layer.enable_lora(2)
    layer.lora_kernel_a.assign(rng.normal(size=layer.lora_kernel_a.shape))
    update = np.zeros(layer.lora_kernel_b.shape)
    update[:, :2] = 1.0
    layer.lora_kernel_b.assign(update)
    effective = kernel + np.array(layer.lora_kernel_a) @ update
    (row,) = diagnose(model).layers
    assert row.invalid[1.0] == 4
    assert_row_equals(row, effective, (3,))


def test_frozen_layers_count():
    model = sequential((9, 9, 3), layers.Conv2D(4, 3), layers.Conv2D(5, 3))
    model.layers[0].trainable = False
    assert diagnose(model).totals.filters == 9


def test_nested_models_are_entered_and_named():
    inner = keras.Sequential(
        [keras.Input((9, 9, 4)), layers.Conv2D(5, 3, name="deep")],
        name="inner",
    )
    model = sequential((9, 9, 3), layers.Conv2D(4, 1, name="first"), inner)
    rows = diagnose(model).layers
    assert [row.name for row in rows] == ["first", "inner/deep"]
    assert [row.filters for row in rows] == [4, 5]


def test_layer_that_is_used_twice_counts_once():
    images = keras.Input((9, 9, 4))
    shared = layers.Conv2D(4, 3, padding="same")
    model = keras.Model(images, shared(shared(images)))
    assert diagnose(model).totals.filters == 4


def test_layers_of_a_subclassed_model_are_found():
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.conv = layers.Conv2D(4, 3)
            self.blocks = [layers.Conv2D(5, 3), layers.Dense(2)]

        def call(self, x):
            x = self.conv(x)
            for block in self.blocks:
                x = block(x)
            return x

    model = Net()
    with pytest.raises(ValueError, match="is not built"):
        diagnose(model)
    model(np.zeros((1, 9, 9, 3)))
    diagnosis = diagnose(model)
    assert [row.filters for row in diagnosis.layers] == [4, 5]
    assert diagnosis.without_kernel == {"Dense": 1}


@pytest.mark.parametrize(
    ("name", "filters"),
    [("resnet32", 1136), ("resnet56", 2032), ("mobilenetv2", 17544)],
)
def test_published_networks_have_their_known_number_of_filters(name, filters):
    network = models.build(name, num_classes=10)
    diagnosis = diagnose(network)
    assert diagnosis.totals.filters == filters
    assert f"{filters:,} filters" in str(diagnosis)


def network_with_known_norms():
    """Six filters, of which 1, 2, 3 and 5 are below the thresholds."""
    layer = layers.Conv2D(6, 2, name="conv", use_bias=False)
    model = sequential((4, 4, 1), layer, layers.BatchNormalization())
    norms = np.array([0.0005, 0.005, 0.05, 0.5, 0.6, 4.0])
    layer.kernel.assign(np.ones((2, 2, 1, 6)) * norms / 4)
    return model


def test_known_numbers_of_filters_are_below_each_threshold():
    diagnosis = diagnose(network_with_known_norms())
    expected = {1.0: 5, 0.1: 3, 0.01: 2, 0.001: 1}
    assert diagnosis.layers[0].invalid == expected
    assert diagnosis.totals.invalid == expected


def test_own_thresholds_take_the_place_of_the_default():
    diagnosis = diagnose(network_with_known_norms(), thresholds=[0.55, 2])
    assert diagnosis.thresholds == (2.0, 0.55)
    assert diagnosis.totals.invalid == {2.0: 5, 0.55: 4}
    assert "l1<0.55" in str(diagnosis)


def test_totals_are_over_filters_not_over_layers():
    model = sequential((9, 9, 1), layers.Conv2D(1, 1), layers.Conv2D(3, 1))
    model.layers[0].kernel.assign(np.full((1, 1, 1, 1), 8.0))
    model.layers[1].kernel.assign(np.array([[[[1.0, 2.0, 1.0]]]]))
    diagnosis = diagnose(model)
    totals = diagnosis.totals
    assert (totals.kernels, totals.filters) == (2, 4)
    assert totals.l1_mean == pytest.approx(3.0)
    assert (totals.l1_min, totals.l1_max) == (1.0, 8.0)
    # One weight has no entropy; [1, 2, 1] has shares 2/3 and 1/3.
    expected = -(2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3))
    assert totals.entropy == pytest.approx(expected)


def test_table_lines_up_and_says_what_a_filter_is():
    model = network_with_known_norms()
    text = str(diagnose(model))
    lines = text.splitlines()
    header, row, total = lines[2:5]
    assert header.split()[:4] == ["layer", "kind", "filters", "l1<1"]
    assert row.split()[:7] == ["conv", "Conv2D", "6", "5", "3", "2", "1"]
    assert total.split()[:4] == ["total", "1", "kernel", "6"]
    assert len({len(line) for line in (header, row, total)}) == 1
    flowing = " ".join(lines)
    assert "one output slice of a convolution kernel" in flowing
    assert "not one of its 2-d slices" in flowing
    assert "Skipped: 1 layer without a convolution kernel" in flowing
    assert "1 BatchNormalization" in flowing
    assert "never fire" not in flowing


def test_json_holds_layers_and_totals(tmp_path):
    path = tmp_path / "diagnosis.json"
    diagnosis = diagnose(network_with_known_norms())
    diagnosis.to_json(path)
    values = json.loads(path.read_text())
    assert values["thresholds"] == [1.0, 0.1, 0.01, 0.001]
    assert values["totals"]["invalid"] == {
        "1": 5,
        "0.1": 3,
        "0.01": 2,
        "0.001": 1,
    }
    assert values["layers"][0]["name"] == "conv"
    assert values["layers"][0]["l1_max"] == pytest.approx(4.0)
    assert "output slice" in values["definition"]


def test_weights_that_are_not_finite_are_named_and_leave_json_valid(tmp_path):
    model = network_with_known_norms()
    kernel = np.array(model.layers[0].kernel)
    kernel[..., 5] = np.nan
    model.layers[0].kernel.assign(kernel)
    diagnosis = diagnose(model)
    assert diagnosis.totals.invalid[0.001] == 2
    assert "not finite, counted as invalid: conv" in str(diagnosis)
    diagnosis.to_json(tmp_path / "a.json")
    row = json.loads((tmp_path / "a.json").read_text())["layers"][0]
    assert row["l1_mean"] is None
    diagnosis.plot(tmp_path / "a.png")


@pytest.mark.parametrize("value", [0.0, np.inf])
def test_picture_is_drawn_of_extreme_weights(tmp_path, value):
    model = network_with_known_norms()
    model.layers[0].kernel.assign(np.full((2, 2, 1, 6), value))
    diagnose(model).plot(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("ending", "start"),
    [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")],
)
def test_picture_is_written_in_the_format_of_its_ending(
    tmp_path, ending, start
):
    path = tmp_path / f"picture{ending}"
    diagnose(network_with_known_norms()).plot(path)
    assert path.read_bytes().startswith(start)


def test_picture_of_another_kind_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"\.pdf, \.png, \.svg"):
        diagnose(network_with_known_norms()).plot(tmp_path / "a.txt")


def test_model_without_convolutions_is_refused():
    model = sequential((4,), layers.Dense(3))
    with pytest.raises(ValueError, match="no convolution kernel"):
        diagnose(model)


def test_model_that_holds_networks_is_refused_with_the_remedy():
    class Holder(keras.Model):
        def __init__(self, networks):
            super().__init__()
            self.networks = networks

    holder = Holder([network_with_known_norms()])
    with pytest.raises(ValueError, match=r"model\.networks\[0\]"):
        diagnose(holder)


def test_kernel_that_is_not_built_is_skipped_by_name():
    class Lazy(keras.Model):
        def __init__(self):
            super().__init__()
            self.used = layers.Conv2D(4, 3, name="used")
            self.unused = layers.Conv2D(4, 3, name="unused")

        def call(self, x):
            return self.used(x)

    model = Lazy()
    with pytest.warns(UserWarning, match="unbuilt state"):
        model(np.zeros((1, 9, 9, 3)))
    diagnosis = diagnose(model)
    assert diagnosis.totals.filters == 4
    why = "it is not built: nothing calls it"
    assert diagnosis.skipped == (("unused", why),)
    text = " ".join(str(diagnosis).splitlines())
    assert f"Skipped: 1 convolution kernel, since {why}: unused." in text
