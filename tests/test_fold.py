"""Folding BatchNorm changes nothing but rounding, and never outlives the weights it was made of."""

import keras
import numpy as np
import pytest
from conftest import close, full_backbone, pixels, small_backbone, small_splits

import tlteach as tl
from tlteach._fold import Folded, foldable
from tlteach.features import activations

L = keras.layers
# How many BatchNorm layers there are, and how many a layer before them takes in.
COUNTS = {
    "resnet50": (53, 53),
    "resnet50v2": (49, 32),
    "densenet121": (121, 59),
    "mobilenetv2": (52, 52),
    "mobilenetv3small": (34, 34),
    "efficientnetb0": (49, 49),
}


def inference(model, x):
    return np.asarray(model.predict_on_batch(x))


def shake(model, seed=0):
    """Give every weight of BatchNorm layers a value that would show a mistake."""
    random = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, L.BatchNormalization):
            layer.set_weights([random.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    return model


def built(make, shape=(8, 8, 3), seed=0):
    keras.utils.set_random_seed(seed)
    x = keras.Input(shape)
    return shake(keras.Model(x, make(x)))


def convolved(layer, **norm):
    return lambda x: L.ReLU()(L.BatchNormalization(**norm)(layer(x)))


def folded(model, **options):
    copy = Folded(model, **options)
    copy.update()
    return copy


def norms(model):
    return sum(isinstance(layer, L.BatchNormalization) for layer in model.layers)


@pytest.mark.parametrize("name", COUNTS)
def test_a_folded_backbone_gives_the_same(name):
    model = full_backbone(name).model
    copy, (before, taken_in) = folded(model), COUNTS[name]
    assert (norms(model), norms(copy.model)) == (before, before - taken_in)
    assert close(inference(copy.model, pixels(3)), inference(model, pixels(3)), 1e-4)


LAYERS = {
    "convolution": lambda: L.Conv2D(5, 3),
    "without bias": lambda: L.Conv2D(5, 3, use_bias=False, strides=2, padding="same"),
    "in groups": lambda: L.Conv2D(6, 3, groups=3),
    "dilated": lambda: L.Conv2D(4, 3, dilation_rate=2),
    "depthwise": lambda: L.DepthwiseConv2D(3, depth_multiplier=2),
    "depthwise without bias": lambda: L.DepthwiseConv2D(3, use_bias=False),
    "separable": lambda: L.SeparableConv2D(5, 3),
    "dense": lambda: L.Dense(5),
}


@pytest.mark.parametrize("norm", [{}, {"scale": False}, {"center": False}, {"epsilon": 0.1}], ids=str)
@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_each_kind_of_layer_takes_a_batchnorm_in(layer, norm):
    model = built(convolved(layer(), **norm))
    random = np.random.default_rng(1)
    for each in model.layers[1:2]:
        each.set_weights([random.normal(size=w.shape) for w in each.get_weights()])  # a bias that is not 0 too
    copy, x = folded(model).model, random.normal(size=(2, 8, 8, 3)).astype("float32")
    assert norms(copy) == 0
    assert close(inference(copy, x), inference(model, x))


def twice(x):
    shared = L.Conv2D(3, 1)
    return L.BatchNormalization()(shared(shared(x)))


def read_by_two(x):
    x = L.Conv2D(3, 1)(x)
    return L.Add()([x, L.BatchNormalization()(x)])


KEPT = {
    "activation between": convolved(L.Conv2D(3, 1, activation="relu")),
    "read by another too": read_by_two,
    "runs twice": twice,
    "normalised before": lambda x: L.Conv2D(3, 1)(L.BatchNormalization()(x)),
    "another axis": convolved(L.Conv2D(8, 1), axis=1),
}


@pytest.mark.parametrize("make", KEPT.values(), ids=KEPT)
def test_where_it_would_be_wrong_nothing_is_folded(make):
    model = built(make)
    copy = folded(model)
    assert foldable(model) == {} and copy.model is model


def test_what_is_also_an_output_is_kept_as_it_is():
    """Cut after the convolution, the BatchNorm that follows in the whole model is none of the part's business."""
    model = built(convolved(L.Conv2D(3, 1)))
    part = keras.Model(model.input, model.layers[1].output)
    assert folded(part).model is part


def test_a_folded_model_follows_when_told():
    model = built(convolved(L.Conv2D(5, 3)))
    copy, x = folded(model), np.ones((1, 8, 8, 3), "float32")
    before = inference(copy.model, x)
    shake(model, seed=9)
    assert np.array_equal(inference(copy.model, x), before)
    copy.update()
    assert not close(before, inference(model, x)) and close(inference(copy.model, x), inference(model, x))


@pytest.mark.parametrize("frozen", [True, False])
def test_activations_of_a_trained_model_are_the_trained_ones(frozen):
    """The folded copy is kept from call to call; weights that were trained in between must not be forgotten."""
    splits, model = small_splits(), tl.attach_head(small_backbone("resnet50"), 2)
    end = model.output._keras_history.operation.name
    for layer in model.layers:
        if isinstance(layer, L.BatchNormalization):
            layer.trainable = not frozen
    before = np.array(activations(model, end, splits.test, store=None))
    model.compile(keras.optimizers.SGD(1e-3 if frozen else 0.05), "sparse_categorical_crossentropy")
    for _ in range(3):
        model.train_on_batch(splits.train.array(), splits.train.labels)
    expected = inference(model, splits.test.array())
    assert not close(before, expected, 1e-3)
    assert close(activations(model, end, splits.test, store=None), expected)
    shown = tl.evaluate(model, splits.test).predictions[["p_dark", "p_light"]]
    assert close(shown, expected)


def test_weights_that_are_no_numbers_are_told_and_not_hidden():
    """A ReLU that is fused with the convolution before it makes 0 of what is no number."""
    model = built(convolved(L.Conv2D(5, 3, name="first")))
    model.get_layer("first").bias.assign(np.full(5, np.nan))
    with pytest.raises(ValueError, match=r"weights must be finite. Received: .* in 'first'; .* lower learning rate\."):
        folded(model)


def test_folding_leaves_the_model_alone():
    model = built(convolved(L.Conv2D(5, 3)))
    weights, config = model.get_weights(), model.get_config()
    folded(model), folded(model, dtype="mixed_bfloat16")
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))
    assert model.get_config() == config


@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
def test_sixteen_bits_are_near_and_come_back_as_float32(name):
    model = small_backbone(name).model
    copy, x = folded(model, dtype="mixed_bfloat16").model, pixels(4, (32, 32))
    exact, near = (inference(m, x).reshape(4, -1) for m in (model, copy))
    cosine = (exact * near).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(near, axis=1)
    assert near.dtype == "float32" and not np.array_equal(exact, near)
    assert cosine.min() > 0.999
