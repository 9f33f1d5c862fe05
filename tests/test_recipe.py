"""The recipe's plan: how many stages, on which pictures, and whether a mirror may be held up to them."""

from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
from conftest import pixels, small_backbone, small_splits

import tlteach as tl
from tlteach import recipe
from tlteach._tuning import keeps_classes_mirrored, no_clear_loss
from tlteach.evaluation import predict
from tlteach.features import split_of_array


@pytest.fixture(scope="module")
def model():
    return tl.attach_head(tl.load_backbone("vgg16", "mini"), 2)


@pytest.mark.parametrize("mirror", [False, True])
def test_a_far_target_trains_most_stages_at_once_on_changed_pictures(model, mirror):
    (phase,) = recipe.deepening(model, far=True, mirror=mirror)
    assert phase.train == ("block2", "block3", "block4", "block5", "head")
    kinds = [type(layer).__name__ for layer in phase.augment.layers]
    assert kinds == ["RandomFlip"] * mirror + ["RandomRotation", "RandomZoom", "RandomTranslation"]
    assert (phase.epochs, phase.copies, phase.keep) == (recipe.FAR_EPOCHS, 0, "last")


def test_a_near_target_goes_deeper_step_by_step_on_kept_activations(model):
    phases = recipe.deepening(model, far=False)
    assert [phase.train[0] for phase in phases] == ["block4", "block2"]
    assert [(phase.augment, phase.keep) for phase in phases] == [(None, "best"), (None, "best")]


@pytest.mark.parametrize(("how", "mistakes", "far"), [({}, 4, False), ({}, 5, True), ({"layer": ["block3"]}, 1, True)])
def test_far_is_where_the_middle_stages_serve_or_the_probe_errs_often(model, how, mistakes, far):
    features = SimpleNamespace(val=SimpleNamespace(y=np.zeros(40)))
    splits = SimpleNamespace(val=split_of_array(pixels(4).astype("uint8"), [0, 1, 0, 1], classes=["0", "1"]))
    phases = recipe._planned(None, model, recipe.View("", how, features, None, mistakes), splits, None)
    assert [phase.augment is not None for phase in phases] == ([True] if far else [False, False])


def sides(bright):
    """Pictures 32 x 32 with brighter left or right halves, or brighter as a whole, and a model that sees which."""
    y = np.arange(40) % 2
    x = pixels(40, (32, 32)) * 0.4
    for picture, label in zip(x, y, strict=True):
        picture[bright(label)] += 120
    inputs = keras.Input((32, 32, 3))
    dense = keras.layers.Dense(2)
    whole = keras.Model(inputs, dense(keras.layers.Flatten()(inputs)))
    told = np.stack([x[y == label].mean(0).ravel() for label in (0, 1)], 1)  # the nearer of the two means
    dense.set_weights([told, -0.5 * (told**2).sum(0)])
    return whole, split_of_array(x.astype("uint8"), y, classes=["0", "1"])


@pytest.mark.parametrize(
    ("bright", "kept"),
    [(lambda label: np.s_[:, 16 * label : 16 + 16 * label], False), (lambda label: np.s_[: 32 * label], True)],
)
def test_mirrors_are_held_up_only_where_the_model_still_knows_the_class(bright, kept):
    whole, split = sides(bright)
    assert (predict(whole, split).argmax(1) == split.labels).all()
    assert keeps_classes_mirrored(whole, split, mistakes=0) == kept


def ran(epoch):
    return pd.DataFrame({"kept epoch": [epoch]})


def test_a_phase_that_was_stopped_before_an_epoch_ended_is_no_fine_tuning():
    run = SimpleNamespace(history=pd.DataFrame({"val_accuracy": [0.91]}), interrupted=True, plan=ran(0))
    kept, sentence = no_clear_loss(run, "it erred", 9, 100)
    assert not kept and sentence == "Interrupted. Linear probe: it erred, and no epoch of fine-tuning was finished."


@pytest.mark.parametrize(
    ("right", "stands", "told"),
    [
        (95, True, "falls clearly; it went from 91.0% to 95.0%."),
        (88, True, "falls clearly; it went from 91.0% to 88.0%, no more than luck would do."),
        (87, False, "Linear probe: it erred, and fine-tuning took accuracy there from 91.0% to 87.0%."),
    ],
)
def test_far_from_the_source_validation_only_keeps_from_a_clear_loss(right, stands, told):
    run = SimpleNamespace(
        history=pd.DataFrame({"val_accuracy": [0.91, 0.5, right / 100]}), interrupted=False, plan=ran(3)
    )
    kept, sentence = no_clear_loss(run, "it erred", 9, 100)
    assert kept == stands and sentence.endswith(told)


def test_where_fine_tuning_lost_accuracy_the_probe_reads_what_it_was_solved_on(monkeypatch):
    splits = small_splits()
    phase = tl.Phase("all", 1, 1e-2, keep="last", batch_size=4)
    monkeypatch.setattr(recipe, "ENOUGH_MISTAKES", 0)
    monkeypatch.setattr(recipe, "_planned", lambda *_: [phase])
    monkeypatch.setattr(recipe, "no_clear_loss", lambda *_: (False, "It lost."))
    backbone = small_backbone("vgg16")
    before = backbone.model.get_weights()
    _, run, decision, _ = recipe.learn(backbone, splits, store=None)
    assert decision == "It lost." and run.plan["kept epoch"].tolist() == [1]
    for now, then in zip(backbone.model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
