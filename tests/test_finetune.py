"""Fine-tuning: phases train what they say, the best is kept, and the shortcut changes nothing."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from conftest import close, pixels, same, small_backbone, small_splits

import tlteach as tl
from tlteach import finetune
from tlteach._stages import find_stages
from tlteach._training import Batch, Rows, filled, measure


@pytest.fixture(scope="module")
def splits():
    return small_splits()


def classifier(name="vgg16", seed=0, **options):
    backbone = small_backbone(name, seed)
    keras.utils.set_random_seed(seed)
    return tl.attach_head(backbone, 2, **options)


def phase(stages="head", **options):
    return tl.Phase(stages.split(), **{"epochs": 1, "learning_rate": 1e-3, "batch_size": 4, **options})


def by_stage(model):
    return {
        stage: [np.array(w) for layer in model.layers if layer.name in names for w in layer.weights]
        for stage, names in find_stages(model).items()
    }


def batchnorm(model, stage):
    """Which of a stage's weights are BatchNorm's."""
    layers = [layer for layer in model.layers if layer.name in find_stages(model)[stage]]
    kinds = [isinstance(layer, keras.layers.BatchNormalization) for layer in layers for _ in layer.weights]
    return np.flatnonzero(kinds)


# what is trained


@pytest.mark.parametrize(
    "name, stages", [("vgg16", "block5"), ("resnet50", "conv5"), ("mobilenetv2", "top"), ("efficientnetb0", "top")]
)
def test_a_phase_moves_its_stages_and_no_bit_else(name, stages, splits, monkeypatch):
    monkeypatch.setattr(finetune.KeepBest, "put_back", lambda self: None)
    model = classifier(name)
    before = by_stage(model)
    run = tl.fine_tune(model, splits, [phase(stages + " head")], store=None)
    assert run.model is model and not run.interrupted
    moved = {stage for stage, weights in by_stage(model).items() if not same(before[stage], weights)}
    assert moved == {stages, "head"}
    after = by_stage(model)  # nor BatchNorm's weights in the stages that are trained
    for stage, weights in before.items():
        still = [same([a], [b]) for a, b in zip(weights, after[stage], strict=True)]
        assert all(still[i] for i in batchnorm(model, stage))


def test_two_phases_unfreeze_one_stage_more(splits):
    model = classifier()
    phases = [replace(p, cut=True) for p in tl.gradual_unfreezing(small_backbone("vgg16"), 2, epochs=1)]
    run = tl.fine_tune(model, splits, phases, store=None)
    assert run.plan["trains"].tolist() == ["block5 + head", "block4 + block5 + head"]
    assert run.plan["variables"].tolist() == [8, 14]
    assert run.plan["cut at"].tolist() == ["block4_pool", "block3_pool"]
    assert run.history[["phase", "epoch"]].values.tolist() == [[1, 0], [1, 1], [2, 0], [2, 1]]
    assert run.history["val_loss"].notna().all() and run.seconds > 0
    assert len(model.trainable_variables) == 14 and model.compiled


@pytest.mark.parametrize("name, stages", [("vgg16", "block5 head"), ("resnet50", "conv5 head")])
def test_training_on_kept_activations_changes_nothing(name, stages, splits, monkeypatch):
    monkeypatch.setattr(finetune.KeepBest, "put_back", lambda self: None)
    weights, plans = [], []
    for cut in (True, False):
        model = classifier(name)
        # plain steps: Adam divides by the gradient's size and makes much of rounding
        chosen = phase(stages, learning_rate=0.01, optimizer="sgd", cut=cut)
        plans.append(tl.fine_tune(model, splits, [chosen], store=None).plan["cut at"][0])
        weights.append(model.get_weights())
    assert plans[0] != "resize" == plans[1]
    for a, b in zip(*weights, strict=True):
        assert np.abs(a - b).max() <= 1e-5 * max(np.abs(b).max(), 1)
    assert not same(weights[0], classifier(name).get_weights())


def test_activations_are_kept_and_read_again(splits, tmp_path):
    for _ in range(2):
        tl.fine_tune(classifier(), splits, [phase("block5 head", cut=True)], store=tmp_path)
        assert len(list(tmp_path.rglob("rows.npy"))) == 2  # training and validation, once


def test_the_test_split_is_not_touched(splits):
    hidden = tl.Splits(splits.train, splits.val, None, "no test")
    assert len(tl.fine_tune(classifier(), hidden, [phase("block5 head"), phase("all")], store=None).plan) == 2


def test_all_stages_may_be_trained(splits):
    for train in ("all", ["all"], ("all",)):
        run = tl.fine_tune(classifier(), splits, [tl.Phase(train, epochs=1)], store=None)
        assert run.plan.loc[0, ["variables", "cut at"]].tolist() == [28, "resize"]


def test_a_model_of_ones_own(splits):
    x = keras.Input((16, 16, 3))
    own = keras.Model(
        x,
        keras.layers.Dense(2, "softmax", name="head")(
            keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(x))
        ),
    )
    before = own.get_weights()
    run = tl.fine_tune(own, splits, [phase("head", learning_rate=1e-6)], store=None)
    assert run.plan["cut at"].tolist() == ["input"] and len(before) == len(own.get_weights())


@pytest.mark.parametrize("name", ["efficientnetb0", "vgg16"])
def test_dropout_does_not_upset_the_proof(name, splits):
    """EfficientNet's blocks have dropout of their own."""
    model, last = classifier(name, dropout=0.5), {"efficientnetb0": "block6 block7 top", "vgg16": "block5"}[name]
    assert len(tl.fine_tune(model, splits, [phase("head"), phase(last + " head")], store=None).plan) == 2


# the best weights


def test_the_beginning_is_put_back_when_training_harms(splits):
    model = classifier()
    before = model.get_weights()
    run = tl.fine_tune(model, splits, [phase("block5 head", learning_rate=1e4, epochs=2)], store=None)
    assert same(before, model.get_weights())
    assert len(run.history) == 3


def test_the_last_epoch_is_kept_where_that_is_wanted(splits):
    """Far too fast: the beginning would be put back, and it would stop early."""
    wild = phase("head", learning_rate=10.0, epochs=5, patience=1, keep="last")
    runs = [tl.fine_tune(classifier(), splits, wild, store=None) for _ in range(2)]
    assert runs[0].plan["kept epoch"].tolist() == [5] and len(runs[0].history) == 6
    found = runs[0].model.evaluate(splits.val.sized((32, 32)), verbose=0)[0]
    assert found == pytest.approx(runs[0].history["val_loss"].iloc[-1], rel=1e-3)
    assert same(runs[0].model.get_weights(), runs[1].model.get_weights())


def best_of(run):
    """The row of the epoch that was kept: most right, then the lowest loss."""
    return run.history.sort_values(["val_accuracy", "val_loss"], ascending=[False, True], kind="stable").iloc[0]


def test_the_best_epoch_is_put_back(splits):
    model = classifier()
    run = tl.fine_tune(model, splits, [phase(epochs=12, learning_rate=0.3, patience=12)], store=None)
    found = model.evaluate(splits.val.sized((32, 32)), verbose=0)[0]
    assert found == pytest.approx(best_of(run)["val_loss"], rel=1e-3, abs=1e-4)
    assert run.plan["kept epoch"].tolist() == [best_of(run)["epoch"]] and best_of(run)["epoch"] > 0


def test_it_stops_when_the_best_has_passed(splits):
    run = tl.fine_tune(classifier(), splits, [phase(epochs=20, learning_rate=1e4, patience=2)], store=None)
    assert len(run.history) <= 1 + 20
    assert len(run.history) == min(21, best_of(run)["epoch"] + 3)


class Stop(keras.callbacks.Callback):
    def __init__(self, epoch, batch=None):
        super().__init__()
        self.epoch, self.batch, self.now = epoch, batch, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.now, batch) == (self.epoch, self.batch or 0):
            raise KeyboardInterrupt


def test_ctrl_c_gives_what_was_reached(splits):
    model = classifier()
    phases = [phase("head", epochs=5, learning_rate=0.01, patience=9), phase("block5 head")]
    run = tl.fine_tune(model, splits, phases, callbacks=[Stop(epoch=2)], store=None)
    assert run.interrupted and run.model is model
    assert run.history["epoch"].tolist() == [0, 1, 2] and run.plan["phase"].tolist() == [1]
    found = model.evaluate(splits.val.sized((32, 32)), verbose=0)[0]
    assert found == pytest.approx(best_of(run)["val_loss"], rel=1e-3)


def test_ctrl_c_in_the_first_epoch_leaves_the_beginning(splits):
    model = classifier()
    before = model.get_weights()
    run = tl.fine_tune(model, splits, [phase("block5 head", epochs=3)], callbacks=[Stop(epoch=0)], store=None)
    assert run.interrupted and same(before, model.get_weights())


def test_ctrl_c_before_the_first_epoch(splits, monkeypatch):
    def interrupt(self, *args, **kwargs):
        raise KeyboardInterrupt

    model = classifier()
    before = model.get_weights()
    monkeypatch.setattr(finetune, "measure", interrupt)
    run = tl.fine_tune(model, splits, [phase("head")], store=None)
    assert run.interrupted and same(before, model.get_weights())


# seeds, plans, errors


def test_the_seed_decides_the_weights(splits):
    found = []
    for seed in (1, 1, 2):
        model = classifier()
        tl.fine_tune(model, splits, [phase(epochs=3, learning_rate=1e-3)], seed=seed, store=None)
        found.append(model.get_weights())
    assert same(found[0], found[1])
    assert not same(found[0], found[2])


def test_the_seed_decides_dropout_too(splits):
    start, found = classifier(dropout=0.5).get_weights(), []
    for made_with, seed in ((5, 1), (6, 1), (6, 2)):
        model = classifier(dropout=0.5, seed=made_with)  # layers whose own seeds differ
        model.set_weights(start)
        whole = tl.Phase("head", epochs=2, batch_size=8)  # one batch: the order does not matter
        tl.fine_tune(model, splits, [whole], seed=seed, store=None)
        found.append(model.get_layer("head").get_weights())
    assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(found[0], found[1], strict=True))
    assert not all(np.allclose(a, b, atol=1e-6) for a, b in zip(found[0], found[2], strict=True))


def test_a_phase_that_trains_nothing_is_an_error(splits):
    with pytest.raises(RuntimeError, match=r"each stage of a phase must be trained. Received: nothing moved in"):
        tl.fine_tune(classifier(), splits, [phase("block5 head", learning_rate=0.0)], store=None)


def test_an_unknown_stage(splits):
    with pytest.raises(ValueError, match=r"stage must be one of block1.*Received: 'conv5'\."):
        tl.fine_tune(classifier(), splits, [phase("conv5")], store=None)


def test_a_model_for_other_classes(splits):
    model = tl.attach_head(small_backbone("vgg16"), 3)
    with pytest.raises(ValueError, match=r"an output for each of 2 classes. Received: 3\."):
        tl.fine_tune(model, splits, [phase()], store=None)


def test_validation_needs_pictures(splits):
    none = tl.Splits(splits.train, splits.val.take([]), splits.test, "none")
    with pytest.raises(ValueError, match=r"train and val must have pictures.*Received: 8 and 0\."):
        tl.fine_tune(classifier(), none, [phase()], store=None)


def test_gradual_unfreezing_plans_phases():
    backbone = small_backbone("resnet50")
    phases = tl.gradual_unfreezing(backbone, 2, epochs=3)
    assert [p.train for p in phases] == [("conv5", "head"), ("conv4", "conv5", "head")]
    assert [p.learning_rate for p in phases] == pytest.approx([3e-4, 1.5e-4]) and phases[0].epochs == 3
    with_head = tl.gradual_unfreezing(backbone, 1, head=True)
    assert [p.train for p in with_head] == [("head",), ("conv5", "head")]
    assert with_head[0].learning_rate > with_head[1].learning_rate
    chosen = tl.gradual_unfreezing(backbone, 2, learning_rates=[1e-2, 1e-5])
    assert [p.learning_rate for p in chosen] == [1e-2, 1e-5]


def test_gradual_unfreezing_of_what_is_not_there():
    backbone = small_backbone("vgg16")
    for stages in (0, 6):
        with pytest.raises(ValueError, match=rf"stages must be 1 to 5 for vgg16. Received: {stages}\."):
            tl.gradual_unfreezing(backbone, stages)
    with pytest.raises(ValueError, match=r"a learning rate for each of 2 phases. Received: 1\."):
        tl.gradual_unfreezing(backbone, 2, learning_rates=[1e-3])


def test_a_phase_takes_one_stage_or_many():
    assert tl.Phase("head").train == tl.Phase(["head"]).train == tl.Phase().train == ("head",)
    assert tl.Phase(["block5", "head"]).name == "block5 + head"


def test_losses_are_those_of_their_own_epoch_where_keras_keeps_counting():
    """Keras 3.12 tells the mean of all batches since the metrics were last reset: as if it never did by itself."""
    model = tl.attach_head(small_backbone("vgg16"), 2)
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x, y = pixels(8, (32, 32)), np.array([0, 1] * 4)
    batches = [(x[:4], y[:4]), (x[4:], y[4:])]
    since = []

    def alone(x, y):
        model.reset_metrics()
        return float(model.test_on_batch(x, y, return_dict=True)["loss"])

    class Counting:
        def reset_metrics(self):
            since.clear()

        def test_on_batch(self, x, y, sample_weight, return_dict):
            since.append(alone(x, y))
            return {"loss": np.mean(since)}

    class Held:
        def epoch(self):
            return [Batch(x, y, None, len(y)) for x, y in batches]

    counting, expected = Counting(), np.mean([alone(*batch) for batch in batches])
    for _ in range(2):
        assert measure(counting, Held())["loss"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("rows", [9, 8])
def test_a_filled_batch_moves_a_model_as_its_own_rows_do(rows):
    """Five rows in a step for eight are worth as much as five in a step for five."""
    x, y, after = pixels(rows, (32, 32)), np.arange(rows) % 2, []
    for fill, metrics in ((False, "metrics"), (True, "weighted_metrics")):
        model = tl.attach_head(small_backbone("vgg16"), 2)
        keras.utils.set_random_seed(0)
        model.layers[-1].kernel.assign(np.linspace(-1, 1, 2 * model.layers[-1].kernel.shape[0]).reshape(-1, 2))
        tl.freeze(model, ("block5", "head"))
        model.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy", **{metrics: ["accuracy"]})
        held = Rows(x, y, batch_size=5, seed=1, fill=fill)
        sizes = [len(batch.y) for batch in held.epoch()]
        assert sizes == ([5, 5] if fill else [5, rows - 5])
        logs = [
            model.train_on_batch(*batch[:2], sample_weight=batch.weights, return_dict=True) for batch in held.epoch()
        ]
        after.append((logs, measure(model, held), [keras.ops.convert_to_numpy(v) for v in model.trainable_variables]))
    (logs, told, weights), (filled_logs, filled_told, filled_weights) = after
    assert told.keys() == filled_told.keys() == {"loss", "accuracy"}
    for one, other in zip([*logs, told], [*filled_logs, filled_told], strict=True):
        assert other == pytest.approx(one, rel=1e-4)
    assert all(close(a, b) for a, b in zip(filled_weights, weights, strict=True))


def test_a_phase_builds_one_step_for_training_and_one_for_validation(monkeypatch):
    shapes = set()
    for name in ("train_on_batch", "test_on_batch"):
        own = getattr(keras.Model, name)
        monkeypatch.setattr(
            keras.Model, name, lambda self, x, *a, own=own, **k: shapes.add(x.shape) or own(self, x, *a, **k)
        )
    model = tl.attach_head(small_backbone("vgg16"), 2)
    tl.fine_tune(model, small_splits(train=11, val=6), tl.Phase(("block5", "head"), 2, batch_size=4), store=None)
    assert {shape[0] for shape in shapes} == {4}


def test_filling_changes_nothing_of_the_rows():
    x, y, weights, count = filled(np.arange(6.0).reshape(3, 2), np.array([2, 0, 1]), 4)
    assert x.tolist() == [[0, 1], [2, 3], [4, 5], [4, 5]] and y.tolist() == [2, 0, 1, 1] and count == 3
    assert weights.tolist() == pytest.approx([4 / 3] * 3 + [0])


def test_a_small_cut_is_made_though_it_saves_little_and_a_large_one_is_not(monkeypatch):
    from tlteach import _cutting

    model, phase = tl.attach_head(small_backbone("resnet50"), 2), tl.Phase(("conv4", "conv5", "head"), epochs=1)
    assert _cutting.choose_cut(model, small_splits(), phase).why.startswith("saves 1.")
    monkeypatch.setattr(_cutting, "SMALL_CUT", 0)
    assert _cutting.choose_cut(model, small_splits(), phase).why.startswith("whole: a cut would save 1.")
