"""Class activation maps: their mean and the bias are the logit, and they point to where the evidence is."""

import keras
import numpy as np
import pytest
from conftest import pixels, small_backbone

import tlteach as tl
from tlteach.features import split_of_array


@pytest.fixture(scope="module", params=["vgg16", "resnet50"])
def model(request):
    """A mini network on 96 x 128 pixels, so that the map is 3 x 4, with a head whose bias counts."""
    model = tl.attach_head(tl.load_backbone(request.param, "mini", input_size=(96, 128)), 3, dropout=0.3)
    head = model.get_layer("head")
    head.set_weights([np.random.default_rng(0).normal(0, 0.3, head.kernel.shape), np.array([0.5, -1.0, 2.0])])
    return model


@pytest.fixture(scope="module")
def pictures():
    return pixels(5, (96, 128))


def logits(model, pictures):
    """Logits computed by Keras alone."""
    head = model.get_layer("head")
    before = keras.Model(model.input, model.get_layer("head_dropout").output)
    return before.predict(pictures, verbose=0) @ np.asarray(head.kernel) + np.asarray(head.bias)


@pytest.mark.parametrize("target", [0, 1, 2])
def test_mean_and_bias_are_the_logit(model, pictures, target):
    maps = tl.class_activation_maps(model, pictures, target=target)
    assert maps.shape == (5, 3, 4) and maps.dtype == "float32" and maps.std((1, 2)).min() > 0.01
    bias = np.asarray(model.get_layer("head").bias)[target]
    expected = logits(model, pictures)[:, target]
    assert np.abs(maps.mean((1, 2)) + bias - expected).max() < 1e-4 * max(1, np.abs(expected).max())


def test_maps_make_up_the_probabilities(model, pictures):
    means = np.stack([tl.class_activation_maps(model, pictures, target=t).mean((1, 2)) for t in range(3)], 1)
    powers = np.exp(means + np.asarray(model.get_layer("head").bias))
    assert np.allclose(powers / powers.sum(1, keepdims=True), model.predict(pictures, verbose=0), atol=1e-4)


def test_the_predicted_class_a_name_or_one_for_each(model, pictures):
    predicted = model.predict(pictures, verbose=0).argmax(1)
    own = tl.class_activation_maps(model, pictures)
    assert np.array_equal(own, tl.class_activation_maps(model, pictures, target=predicted))
    assert np.array_equal(own[:1], tl.class_activation_maps(model, pictures, target=predicted[0])[:1])
    split = split_of_array(pictures.astype("uint8"), classes=["a", "b", "c"])
    named, numbered = (tl.class_activation_maps(model, split, target=target) for target in ("b", 1))
    assert np.array_equal(named, numbered)


def spot_finder(pool=keras.layers.GlobalAveragePooling2D, hidden=False):
    """A model whose one channel is red minus blue, and whose second class wants it."""
    x = keras.Input((8, 8, 3))
    conv = keras.layers.Conv2D(1, 1, use_bias=False, name="last")
    y = pool(name="pool")(conv(x))
    y = keras.layers.Dense(4, "relu", name="hidden")(y) if hidden else y
    dense = keras.layers.Dense(2, "softmax", use_bias=hidden)
    model = keras.Model(x, dense(y))
    conv.set_weights([np.array([1.0, 0, -1]).reshape(1, 1, 3, 1)])
    if not hidden:
        dense.set_weights([np.array([[-1.0, 2.0]])])
    return model


def test_a_map_peaks_where_the_evidence_is_and_many_pictures_do():
    pictures, places = np.full((150, 8, 8, 3), 9, "uint8"), np.random.default_rng(0).integers(0, 8, (150, 2))
    pictures[np.arange(150), places[:, 0], places[:, 1]] = [209, 9, 109]
    maps = tl.class_activation_maps(spot_finder(), pictures)
    peaks = np.stack(np.unravel_index(maps.reshape(150, -1).argmax(1), (8, 8)), 1)
    assert np.array_equal(peaks, places) and np.allclose(maps.max((1, 2)), 200) and np.allclose(maps.min((1, 2)), 0)
    assert np.allclose(tl.class_activation_maps(spot_finder(), pictures, target=0).min((1, 2)), -100)


def test_heads_that_have_no_exact_map():
    words = r"need a head of global average pooling and one Dense layer.*Received: a Dense layer on "
    pictures = pixels(2, (8, 8))
    with pytest.raises(ValueError, match=words + r"GlobalMaxPooling2D 'pool'\."):
        tl.class_activation_maps(spot_finder(keras.layers.GlobalMaxPooling2D), pictures)
    with pytest.raises(ValueError, match=words + r"Dense 'hidden'\."):
        tl.class_activation_maps(spot_finder(hidden=True), pictures)
    with pytest.raises(ValueError, match=words + "GlobalMaxPooling2D 'head_pool'"):
        tl.class_activation_maps(tl.attach_head(small_backbone("vgg16"), 2, pooling="max"), pictures)


@pytest.mark.parametrize("target", [2, -1, "cat", [0, 1], 0.5])
def test_a_class_that_is_not_there(target):
    split = split_of_array(pixels(3, (8, 8)).astype("uint8"), classes=["no", "yes"])
    with pytest.raises(
        ValueError, match=r"target must be a class, 0 to 1 or one of no, yes, or one for each of the 3 "
    ):
        tl.class_activation_maps(spot_finder(), split, target=target)


def test_no_pictures():
    with pytest.raises(ValueError, match=r"pictures must hold at least one picture\. Received: none\."):
        tl.class_activation_maps(spot_finder(), np.zeros((0, 8, 8, 3), "uint8"))
