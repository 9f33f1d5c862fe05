"""Weight decay, the pull to the source and class weights: a step of each against what it should be."""

import keras
import numpy as np
import pytest
from conftest import small_backbone, small_splits
from sklearn.utils.class_weight import compute_class_weight

import tlteach as tl
from tlteach._training import class_weights

RATE = 0.1


@pytest.fixture(scope="module")
def splits():
    return small_splits()


def one_step(splits, *, train=("block5", "head"), rate=RATE, **settings):
    """Weights by path, before and after one step of SGD over the whole training split."""
    keras.utils.set_random_seed(0)
    model = tl.attach_head(small_backbone("vgg16", 0), 2)
    for variable in model.get_layer("head").trainable_variables:
        variable.assign(np.full(variable.shape, 0.1) * np.arange(1, 3))
    before = {v.path: keras.ops.convert_to_numpy(v) for v in model.weights}
    size = splits.train.num_examples
    phase = tl.Phase(train, 1, rate, optimizer="sgd", keep="last", batch_size=size, **settings)
    tl.fine_tune(model, splits, phase, store=None)
    return before, {v.path: keras.ops.convert_to_numpy(v) for v in model.weights}


@pytest.mark.parametrize("rate", [RATE, {"block5": RATE, "head": RATE}])
def test_decay_takes_its_share_of_kernels_and_leaves_biases(splits, rate):
    before, plain = one_step(splits, rate=rate)
    _, decayed = one_step(splits, rate=rate, weight_decay=0.5)
    for path in ("block5_conv1/kernel", "head/kernel"):
        np.testing.assert_allclose(plain[path] - decayed[path], RATE * 0.5 * before[path], atol=1e-6)
    for path in ("block5_conv1/bias", "head/bias", "block4_conv1/kernel"):
        np.testing.assert_allclose(decayed[path], plain[path], atol=1e-6)


def walked(splits, pulls, *, train=("block5", "head"), rate=RATE, **settings):
    """Weights by path: at the beginning, after one step of SGD, and after a second one with each of some pulls."""
    found, (model, begin) = [], fresh()
    for pull in (None, *pulls):
        model.set_weights(begin)
        phases = [
            tl.Phase(train, 1, rate, optimizer="sgd", keep="last", batch_size=8, source_pull=each or 0.0, **settings)
            for each in ([None] if pull is None else [pull, pull])
        ]
        tl.fine_tune(model, splits, phases, store=None)
        found.append({v.path: keras.ops.convert_to_numpy(v).copy() for v in model.weights})
    return dict(zip([v.path for v in model.weights], begin, strict=True)), *found


def fresh():
    keras.utils.set_random_seed(0)
    model = tl.attach_head(small_backbone("vgg16", 0), 2)
    return model, model.get_weights()


@pytest.mark.parametrize("rate", [RATE, {"block5": RATE, "head": RATE}])
def test_the_pull_goes_a_share_of_the_way_back_and_leaves_the_head(splits, rate):
    """The first step begins at the source, so nothing pulls; the second takes pull * rate of the first back."""
    begin, first, free, pulled = walked(splits, [0.0, 2.0], rate=rate)
    for path in ("block5_conv1/kernel", "block5_conv3/bias"):
        way = first[path] - begin[path]
        assert np.abs(way).max() > 1e-4
        np.testing.assert_allclose(free[path] - pulled[path], 2.0 * RATE * way, atol=1e-6)
    for path in ("head/kernel", "head/bias", "block4_conv1/kernel"):
        np.testing.assert_allclose(pulled[path], free[path], atol=1e-6)


def test_a_strong_pull_with_adam_holds_the_backbone_and_not_the_head(splits):
    """With pull * rate = 1 each step begins at the source again, so the way is that of one step."""
    ways = []
    for pull in (0.0, 100.0):
        model, begin = fresh()
        phase = tl.Phase(("block5", "head"), 6, 1e-2, keep="last", batch_size=8, source_pull=pull)
        tl.fine_tune(model, splits, phase, store=None)
        then = zip(model.weights, begin, strict=True)
        ways.append({v.path: np.abs(keras.ops.convert_to_numpy(v) - b).max() for v, b in then})
    free, held = ways
    assert held["block5_conv1/kernel"] <= 1.1e-2 < free["block5_conv1/kernel"]
    assert held["head/kernel"] > 2e-2


class Stop(keras.callbacks.Callback):
    """Ctrl-C at the beginning of an epoch, counted over all phases."""

    def __init__(self, at):
        super().__init__()
        self.at, self.seen = at, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.seen += 1
        if self.seen == self.at:
            raise KeyboardInterrupt


def test_a_run_that_goes_on_is_pulled_to_where_the_whole_of_it_began(splits, tmp_path):
    phases = [
        tl.Phase(("block5", "head"), 2, RATE, optimizer="sgd", keep="last", batch_size=8, source_pull=2.0)
        for _ in range(2)
    ]
    ends = []
    for at in (None, 4):
        model, begin = fresh()
        if at:
            assert tl.fine_tune(model, splits, phases, callbacks=[Stop(at)], store=tmp_path).interrupted
            model.set_weights(begin)
        tl.fine_tune(model, splits, phases, store=tmp_path)
        ends.append(model.get_weights())
    for whole, broken in zip(*ends, strict=True):
        np.testing.assert_allclose(broken, whole, atol=1e-6)


def test_a_class_counts_as_its_weight_says(splits):
    before, plain = one_step(splits, train="head")
    _, double = one_step(splits, train="head", class_weight=dict.fromkeys(splits.classes, 2.0))
    np.testing.assert_allclose(
        double["head/kernel"] - before["head/kernel"], 2 * (plain["head/kernel"] - before["head/kernel"]), atol=1e-6
    )
    halves = [
        one_step(splits, train="head", class_weight=dict(zip(splits.classes, pair, strict=True)))[1]["head/kernel"]
        - before["head/kernel"]
        for pair in ((1.0, 0.0), (0.0, 1.0))
    ]
    np.testing.assert_allclose(sum(halves), plain["head/kernel"] - before["head/kernel"], atol=1e-6)
    assert not np.allclose(*halves, atol=1e-6)


def test_balanced_is_what_scikit_learn_calls_balanced(splits):
    rare = tl.Splits(splits.train.take(range(7)), splits.val, splits.test, "rare")
    weights = class_weights(tl.Phase(class_weight="balanced"), rare)
    truth = compute_class_weight("balanced", classes=np.unique(rare.train.labels), y=rare.train.labels)
    assert [weights[label] for label in np.unique(rare.train.labels)] == pytest.approx(truth)


@pytest.mark.parametrize("wanted", [{"cat": 1.0}, "equal", {0: 1.0, 1: 2.0}])
def test_class_weights_that_name_other_classes(splits, wanted):
    sentence = "class_weight must be 'balanced', None or a dict with a weight for each of .*Received"
    with pytest.raises(ValueError, match=sentence):
        tl.fine_tune(tl.attach_head(small_backbone("vgg16", 0), 2), splits, tl.Phase(class_weight=wanted))


@pytest.mark.parametrize("name", ["weight_decay", "source_pull"])
def test_decay_and_pull_are_not_negative(name):
    with pytest.raises(ValueError, match=f"{name} must be 0 or more. Received: -1"):
        tl.Phase(**{name: -1})
