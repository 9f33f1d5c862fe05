"""Transplant: what is kept is the same bit by bit, what is not begins as its own initialiser draws it."""

import keras
import numpy as np
import pytest
from conftest import pixels, same, small_backbone

import tlteach as tl
from tlteach._stages import tensor_of


@pytest.fixture(scope="module", params=["vgg16", "resnet50", "mobilenetv2"])
def backbone(request):
    return small_backbone(request.param)


def by_stage(backbone):
    """Weights of each stage: a dict from stage to one from path to array; what stands before them is under `None`."""
    stage_of = {name: stage for stage, names in backbone.stages.items() for name in names}
    found = {}
    for layer in backbone.model.layers:
        own = {v.path: keras.ops.convert_to_numpy(v) for v in layer.weights}
        found.setdefault(stage_of.get(layer.name), {}).update(own)
    return found


def test_what_is_kept_is_equal_and_what_is_not_differs(backbone):
    names = list(backbone.stages)
    before = backbone.model.get_weights()
    for count in (0, 2, len(names)):
        keras.utils.set_random_seed(7)
        made = tl.keep_stages(backbone, count)
        assert made.stages == backbone.stages
        for place, stage in enumerate(names):
            old, new = by_stage(backbone)[stage], by_stage(made)[stage]
            kernels = [path for path in old if path.endswith("kernel")]
            assert old.keys() == new.keys()
            assert all(np.array_equal(old[path], new[path]) for path in old) == (place < count or not old)
            assert all(np.array_equal(old[path], new[path]) for path in kernels) == (place < count or not kernels)
    assert same(before, backbone.model.get_weights())


def test_up_to_the_last_stage_that_is_kept_it_computes_the_same(backbone):
    made, stage = tl.keep_stages(backbone, 2), list(backbone.stages)[1]
    ends = [keras.Model(b.model.input, tensor_of(b.model, b.output_of(stage))) for b in (backbone, made)]
    old, new = (keras.ops.convert_to_numpy(end(pixels(2, (32, 32)), training=False)) for end in ends)
    np.testing.assert_allclose(old, new, rtol=1e-5, atol=1e-5)
    whole = [keras.ops.convert_to_numpy(b.model(pixels(2, (32, 32)), training=False)) for b in (backbone, made)]
    assert not np.allclose(*whole, rtol=1e-2)


def test_a_new_kernel_has_the_spread_of_glorot_and_a_new_batchnorm_has_seen_nothing():
    """Glorot and Bengio 2010: uniform between plus and minus sqrt(6 / (inputs + outputs))."""
    vgg, resnet = (tl.keep_stages(small_backbone(name), 2) for name in ("vgg16", "resnet50"))
    for layer in vgg.model.layers:
        if layer.name.startswith("block4_conv"):
            kernel = keras.ops.convert_to_numpy(layer.kernel)
            bound = np.sqrt(6 / (kernel.shape[0] * kernel.shape[1] * (kernel.shape[2] + kernel.shape[3])))
            assert 0.99 * bound < np.abs(kernel).max() <= bound * (1 + 1e-6)
            assert abs(kernel.std() / (bound / np.sqrt(3)) - 1) < 0.02
            assert not np.any(layer.bias)
    norms = [layer for layer in resnet.model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in norms:
        untouched = [np.unique(w).tolist() for w in layer.get_weights()] == [[1.0], [0.0], [0.0], [1.0]]
        assert untouched == layer.name.startswith(("conv3", "conv4", "conv5"))
        assert not layer.trainable


def test_another_initialiser_draws_each_new_kernel_and_nothing_else():
    """He et al. 2015: a spread of sqrt(2 / inputs)."""
    backbone = small_backbone("vgg16")
    keras.utils.set_random_seed(0)
    made = tl.keep_stages(backbone, 2, initializer="he_normal")
    first, second = (keras.ops.convert_to_numpy(made.model.get_layer(f"block5_conv{i}").kernel) for i in (2, 3))
    assert abs(first.std() / np.sqrt(2 / (9 * first.shape[2])) - 1) < 0.02
    assert not np.array_equal(first, second)
    for name in ("block1_conv1", "block2_conv2"):
        assert same(made.model.get_layer(name).get_weights(), backbone.model.get_layer(name).get_weights())
    assert not np.any(made.model.get_layer("block5_conv1").bias)


def test_the_seed_draws_what_is_new():
    backbone, drawn = small_backbone("vgg16"), []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        drawn.append(tl.keep_stages(backbone, 3).model.get_weights())
    assert same(drawn[0], drawn[1]) and not same(drawn[0], drawn[2])


@pytest.mark.parametrize("stages", [-1, 6, 1.5, "block2", None])
def test_other_numbers_are_told(stages):
    with pytest.raises(ValueError, match="stages must be 0 to 5 for vgg16. Received: "):
        tl.keep_stages(small_backbone("vgg16"), stages)


def test_a_language_backbone_keeps_its_tokenizer_and_first_layers():
    pytest.importorskip("keras_hub")
    bert = tl.load_backbone("bert", "mini")
    made = tl.keep_stages(bert, 1)
    assert made.tokenizer is bert.tokenizer
    old, new = by_stage(bert), by_stage(made)
    for place, stage in enumerate(bert.stages):
        assert all(np.array_equal(old[stage][p], new[stage][p]) for p in old[stage]) == (place < 1)
