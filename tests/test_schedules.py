"""Learning rates: by stage, over the steps, found; augmentation; and any Keras callback."""

import os
import subprocess
import sys
from dataclasses import replace

import keras
import numpy as np
import pytest
from conftest import small_backbone, small_splits

import tlteach as tl
from tlteach._stages import find_stages


@pytest.fixture(scope="module")
def splits():
    return small_splits()


def classifier(seed=0, **options):
    backbone = small_backbone("vgg16", seed)
    keras.utils.set_random_seed(seed)
    return tl.attach_head(backbone, 2, **options)


def moved(optimizer, rate, splits):
    """How far one step moves block5 and the head, the best weights not put back."""
    model = classifier()
    stages = find_stages(model)
    before = {v.path: np.array(v) for v in model.weights}
    whole = tl.Phase(
        ["block5", "head"], epochs=1, learning_rate=rate, optimizer=optimizer, batch_size=8, patience=9, cut=True
    )
    kept = {}

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            kept.update({v.path: np.array(v) for v in self.model.weights})

    tl.fine_tune(model, splits, whole, callbacks=[Look()], store=None)
    return {
        stage: np.concatenate(
            [(kept[v.path] - before[v.path]).ravel() for n in stages[stage] for v in model.get_layer(n).weights]
        )
        for stage in ("block5", "head")
    }


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_each_stage_steps_at_its_own_rate(optimizer, splits):
    slow, fast = moved(optimizer, 1e-4, splits), moved(optimizer, 1e-2, splits)
    both = moved(optimizer, {"block5": 1e-4, "head": 1e-2}, splits)
    assert np.allclose(both["block5"], slow["block5"], rtol=1e-3, atol=1e-8)
    assert np.allclose(both["head"], fast["head"], rtol=1e-3, atol=1e-8)
    assert not np.allclose(slow["head"], fast["head"], rtol=1e-3, atol=1e-8)


def test_gradual_unfreezing_slows_down_lower_stages():
    phases = tl.gradual_unfreezing(small_backbone("vgg16"), 2, learning_rates=[1e-3, 1e-3], decay=2)
    assert phases[1].learning_rate == {"head": 1e-3, "block5": 5e-4, "block4": 2.5e-4}
    with pytest.raises(ValueError, match=r"decay must be 1 or more: lower stages learn slower. Received: 0\.5\."):
        tl.gradual_unfreezing(small_backbone("vgg16"), 1, decay=0.5)


def rates(splits, schedule):
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            seen.append(float(self.model.optimizer.learning_rate))

    phase = tl.Phase(epochs=10, learning_rate=0.1, schedule=schedule, batch_size=4, patience=99)
    tl.fine_tune(classifier(), splits, phase, callbacks=[Watch()], store=None)
    assert len(seen) == 20
    return np.array(seen)


def test_a_constant_rate(splits):
    assert np.allclose(rates(splits, "constant"), 0.1)


@pytest.mark.parametrize("schedule, first, top", [("cosine", 0.0, 2), ("one_cycle", 0.1 / 25, 6)])
def test_a_rate_that_rises_and_falls(splits, schedule, first, top):
    found = rates(splits, schedule)
    assert found[0] == pytest.approx(first, abs=1e-7)
    assert found.argmax() == top and found.max() == pytest.approx(0.1, rel=1e-3)
    assert (np.diff(found[: top + 1]) > 0).all() and (np.diff(found[top:]) < 0).all()
    assert found[-1] < 0.003


# callbacks


@pytest.mark.parametrize("rate", [1e-3, {"block5": 1e-4, "head": 1e-3}])
def test_a_checkpoint_in_mid_phase_is_the_whole_model_in_plain_keras(rate, splits, tmp_path):
    saved = keras.callbacks.ModelCheckpoint(tmp_path / "whole.keras")
    phase = tl.Phase(["block5", "head"], epochs=1, learning_rate=rate, cut=True)
    tl.fine_tune(classifier(), splits, phase, callbacks=[saved], store=None)
    program = (
        "import sys, keras, numpy as np; m = keras.models.load_model(sys.argv[1]); "
        "print(m.output_shape, m.input_shape, type(m.optimizer).__name__, 'tlteach' in sys.modules, "
        "np.asarray(m.predict_on_batch(np.zeros((1, 40, 40, 3)))).shape)"
    )
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    words = [sys.executable, "-c", program, str(tmp_path / "whole.keras")]
    done = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split("\n")[-2] == "(None, 2) (None, None, None, 3) Adam False (1, 2)", done.stderr


def test_keras_own_callbacks(splits, tmp_path):
    callbacks = [
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        keras.callbacks.LearningRateScheduler(lambda epoch: 0.01 / (epoch + 1)),
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.EarlyStopping("val_loss", patience=50),
        keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: told.append(sorted(logs))),
        keras.callbacks.ModelCheckpoint(tmp_path / "best.weights.h5", save_weights_only=True, save_best_only=True),
    ]
    told = []
    run = tl.fine_tune(classifier(), splits, tl.Phase(epochs=3, patience=9), callbacks=callbacks, store=None)
    assert run.history["learning_rate"].dropna().tolist() == pytest.approx([0.01, 0.005, 0.01 / 3])
    assert told[0] == ["accuracy", "learning_rate", "loss", "val_accuracy", "val_loss"]
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 4
    classifier().load_weights(tmp_path / "best.weights.h5")


def test_reduce_on_plateau_and_early_stopping(splits):
    plateau = keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=1, min_delta=1e9)
    stop = keras.callbacks.EarlyStopping("val_loss", patience=3, min_delta=1e9)
    run = tl.fine_tune(classifier(), splits, tl.Phase(epochs=9, patience=99), callbacks=[plateau, stop], store=None)
    assert run.history["learning_rate"].dropna().tolist() == pytest.approx([1e-3, 1e-3, 5e-4, 2.5e-4])


# augmentation


def flips(seed=None):
    return keras.Sequential([keras.layers.RandomFlip("horizontal", seed=seed), keras.layers.RandomBrightness(0.3)])


def inputs_of(model, splits, phase, seed=0):
    from tlteach._cutting import Inputs

    inputs = Inputs(model, splits, [phase], store=None)
    return inputs.choices[0], inputs.rows(phase, inputs.choices[0], seed=seed)[0]


def stacked(rows, epoch):
    batches = list(rows.epoch(epoch))
    return [np.concatenate([batch[i][: batch.count] for batch in batches]) for i in (0, 1)]


def test_without_copies_every_epoch_is_augmented_anew(splits):
    choice, rows = inputs_of(classifier(), splits, tl.Phase(epochs=9, augment=flips(), batch_size=8))
    assert choice.start == "resize" and "each epoch has other augmented pictures" in choice.why
    epochs = [np.sort(stacked(rows, number)[0].mean((1, 2, 3))) for number in (0, 1, 0)]
    assert not np.allclose(epochs[0], epochs[1]) and np.allclose(epochs[0], epochs[2])


def test_copies_are_kept_and_taken_in_turn(splits):
    phase = tl.Phase("head", epochs=9, augment=flips(), copies=3, batch_size=8)
    choice, rows = inputs_of(classifier(), splits, phase)
    assert choice.start == "head_pool"
    epochs = [stacked(rows, number)[0] for number in range(4)]
    assert np.allclose(np.sort(epochs[0], 0), np.sort(epochs[3], 0))
    for other in (1, 2):
        assert not np.allclose(np.sort(epochs[0], 0), np.sort(epochs[other], 0))


def test_validation_is_not_augmented(splits):
    from tlteach._cutting import Inputs
    from tlteach.features import activations

    model, phase = classifier(), tl.Phase("head", epochs=9, augment=flips(), copies=2)
    inputs = Inputs(model, splits, [phase], store=None)
    val = inputs.rows(phase, inputs.choices[0], seed=0)[1]
    plain = activations(model, "head_pool", splits.val, store=None)
    assert np.allclose(stacked(val, 0)[0], plain, atol=1e-6)


def test_augmented_training_runs(splits, tmp_path):
    phase = tl.Phase(["block5", "head"], epochs=3, augment=flips(), copies=2, cut=True, patience=9)
    runs = [tl.fine_tune(classifier(), splits, p, store=tmp_path) for p in (phase, replace(phase, copies=0, cut=None))]
    assert [run.plan["cut at"][0] for run in runs] == ["block4_pool", "resize"]
    assert len(list(tmp_path.rglob("rows.npy"))) == 3  # two copies and validation


@pytest.mark.parametrize("options", [{"copies": 1, "augment": keras.layers.RandomFlip()}, {"copies": 3}])
def test_one_frozen_copy_is_refused(options):
    with pytest.raises(ValueError, match=r"copies must be 0 .* one kept copy is no augmentation. Received: copies="):
        tl.Phase(**options)


def test_augment_must_be_a_layer():
    with pytest.raises(ValueError, match=r"augment must be a Keras layer or Sequential of layers. Received: <function"):
        tl.Phase(augment=lambda x: x)


@pytest.mark.parametrize(
    "options, told",
    [
        ({"epochs": 0}, r"epochs must be at least 1. Received: 0\."),
        ({"batch_size": 0}, r"batch_size must be at least 1. Received: 0\."),
        ({"schedule": "cos"}, r"schedule must be one of constant, cosine, one_cycle. Received: 'cos'\."),
        ({"optimizer": "lion"}, r"optimizer must be one of adam, sgd. Received: 'lion'\."),
        ({"learning_rate": {"block5": 1.0}}, r"each stage of \('head',\) must have its learning rate. Received: {'bl"),
    ],
)
def test_a_phase_that_cannot_be(options, told):
    with pytest.raises(ValueError, match=told):
        tl.Phase(**options)


# finding a rate


def test_finding_a_rate_leaves_the_model_as_it_was(splits):
    model = classifier(dropout=0.2)
    before = [np.array(v) for v in model.variables]
    found = tl.find_learning_rate(model, splits, ["block5", "head"], steps=30)
    assert all(np.array_equal(a, v) for a, v in zip(before, model.variables, strict=True))
    assert list(found.table) == ["learning_rate", "loss", "smoothed"]
    assert np.allclose(np.diff(np.log(found.table["learning_rate"])), np.log(1e6) / 29)
    at = found.table["smoothed"].idxmin()
    assert found.rate == pytest.approx(found.table["learning_rate"][at] / 10)


def test_it_stops_when_the_loss_explodes(splits):
    found = tl.find_learning_rate(classifier(), splits, tl.Phase("all", optimizer="sgd"), between=(1e-4, 1e8))
    assert len(found.table) < 60 and found.rate < 1e4


def test_the_found_rate_is_not_the_slowest(splits):
    """On a head that begins at random, the slowest rates change nothing: the loss falls later."""
    many = small_splits(train=64)
    found = tl.find_learning_rate(classifier(), many, tl.Phase("head", optimizer="sgd", batch_size=8), steps=80)
    assert found.rate > 1e-5


@pytest.mark.parametrize("options", [{"between": (1.0, 0.1)}, {"between": (0, 1)}, {"steps": 3}])
def test_rates_in_order(options, splits):
    with pytest.raises(ValueError, match=r"between must be two rising rates above 0, and steps at least 10. Received"):
        tl.find_learning_rate(classifier(), splits, "head", **options)
