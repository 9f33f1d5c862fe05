"""Freezing: what is frozen does not move by a bit, and the proof says so by name."""

import keras
import numpy as np
import pytest
from conftest import SMALL, small_backbone, small_splits

import tlteach as tl
from tlteach.freezing import Proof

# Variables counted by hand from the papers' tables: (stages, trainable variables)
COUNTS = {
    "vgg16": [("head", 2), ("block5 head", 8), ("block4 block5 head", 14)],
    "resnet50": [("head", 2), ("conv5 head", 22), ("conv4 conv5 head", 60)],
    "mobilenetv2": [("head", 2), ("top head", 3), ("block16 top head", 6)],
    "efficientnetb0": [("head", 2), ("top head", 3), ("block7 top head", 10)],
}


@pytest.fixture(scope="module")
def models():
    return {name: tl.attach_head(small_backbone(name), 2) for name in SMALL}


def train(model):
    train = small_splits().train
    model.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy")
    model.fit(train.array(), train.labels, batch_size=4, epochs=1, verbose=0)


@pytest.mark.parametrize("name", list(SMALL))
def test_the_declared_variables_and_no_others_may_move(models, name):
    model = models[name]
    for stages, count in COUNTS[name] + COUNTS[name][::-1]:  # unfrozen twice, frozen again
        expected = tl.freeze(model, stages.split())
        assert len(expected) == len(model.trainable_variables) == count
        assert {id(v) for v in expected} == {id(v) for v in model.trainable_variables}
        found = {stage for stage, row in tl.trainable_table(model).iterrows() if row["trainable"]}
        assert found == set(stages.split())


@pytest.mark.parametrize("name", list(SMALL))
def test_what_is_frozen_stays_to_the_bit(models, name):
    model = models[name]
    expected = {id(v) for v in tl.freeze(model, COUNTS[name][-1][0].split())}
    before = {id(v): np.array(v) for v in model.weights}
    proof = Proof(model, [v for v in model.weights if id(v) in expected])
    train(model)
    moved = {id(v) for v in model.weights if not np.array_equal(before[id(v)], v)}
    assert moved <= expected and len(moved) > len(expected) / 2
    proof.check()


def test_all_means_every_stage_but_batchnorm(models):
    for train in ("all", ["all"], ("all",)):
        assert len(tl.freeze(models["vgg16"], train)) == 13 * 2 + 2
    found = tl.freeze(models["resnet50"], "all")
    assert len(found) == 53 * 2 + 2 and not [v.path for v in found if "bn" in v.path]


def test_the_proof_names_statistics_that_moved(models):
    """What goes wrong when a BatchNorm layer is unfrozen behind our back."""
    model = models["resnet50"]
    expected = tl.freeze(model, ["head"])
    model.get_layer("conv5_block3_3_bn").trainable = True
    proof = Proof(model, expected)
    train(model)
    told = r"frozen variables must not move. Received: [24] that did: .*conv5_block3_3_bn/moving_mean"
    with pytest.raises(RuntimeError, match=told):
        proof.check()
    model.get_layer("conv5_block3_3_bn").trainable = False


def test_the_proof_names_five_and_counts_the_rest(models):
    model = models["vgg16"]
    proof = Proof(model, tl.freeze(model, ["head"]))
    for layer in ("block1_conv1", "block1_conv2", "block2_conv1", "block2_conv2"):
        for variable in model.get_layer(layer).weights:
            variable.assign(variable + 1e-3)
    told = r"Received: 8 that did: block1_conv1/kernel, block1_conv1/bias, .*block2_conv1/kernel and 3 more\."
    with pytest.raises(RuntimeError, match=told):
        proof.check()


def test_the_proof_wants_each_stage_to_move(models):
    model = models["vgg16"]
    proof = Proof(model, tl.freeze(model, ["block5", "head"]))
    with pytest.raises(RuntimeError, match=r"each stage of a phase must be trained. Received: .* in block5, head\."):
        proof.check()
    kernel = model.get_layer("head").kernel
    kernel.assign(kernel + 1)
    with pytest.raises(RuntimeError, match=r"Received: nothing moved in block5\."):
        proof.check()


def test_an_unknown_stage(models):
    told = r"stage must be one of block1, block2, block3, block4, block5, head. Received: 'block6'\."
    with pytest.raises(ValueError, match=told):
        tl.freeze(models["vgg16"], ["head", "block6"])


def test_nothing_to_train():
    model = tl.attach_head(small_backbone("vgg16"), 2)
    with pytest.raises(ValueError, match=r"a phase must train something. Received: \[\]"):
        tl.freeze(model, [])


def test_the_table_counts_what_keras_counts(models):
    for model in models.values():
        tl.freeze(model, ["head"])
        table = tl.trainable_table(model)
        assert table["parameters"].sum() == model.count_params()
        width = model.get_layer("head").kernel.shape[0]
        assert table.loc["head"].tolist() == [2 * width + 2, 2 * width + 2, 0]
        assert table["trainable"].sum() == 2 * width + 2
    assert tl.trainable_table(models["resnet50"])["batchnorm"].tolist() == [1, 10, 13, 19, 10, 0]


def test_the_table_measures_how_far_each_stage_moved(models):
    model = models["vgg16"]
    before = model.get_weights()
    for variable in model.get_layer("head").weights:
        variable.assign(variable * 1.25)
    moved = tl.trainable_table(model, before)["moved"]
    assert moved["head"] == pytest.approx(0.25, rel=1e-5)
    assert (moved.drop("head") == 0).all()
