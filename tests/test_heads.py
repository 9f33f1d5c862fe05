"""Heads: the probe is scikit-learn's solution, and the joined model is backbone and head."""

import keras
import numpy as np
import pytest
from conftest import close, full_backbone, pixels, shaken, small_backbone, small_splits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tlteach as tl
from tlteach import _logistic
from tlteach.features import Features, Part


def blobs(n, d, classes, seed=0):
    """Overlapping clouds of points in `d` dimensions of very different scales."""
    random = np.random.default_rng(seed)
    y = np.arange(n) % classes
    x = random.normal(size=(n, d)) + 0.7 * random.normal(size=(classes, d))[y]
    return (x * random.uniform(0.01, 100, d) + random.normal(size=d) * 10).astype("float32"), y


def solved(x, y, strength):
    """scikit-learn's own solution, to high precision."""
    solver = LogisticRegression(C=strength, max_iter=100_000, tol=1e-9)
    return make_pipeline(StandardScaler(), solver).fit(x.astype("float64"), y)


def differ(found, expected):
    return np.abs(np.asarray(found) - np.asarray(expected)).max()


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("n, d", [(40, 100), (200, 10)])
@pytest.mark.parametrize("strength", [1e-3, 1.0, 10.0])
def test_the_probe_is_scikit_learns(n, d, classes, strength):
    x, y = blobs(n, d, classes)
    probe = tl.linear_probe((x, y), strength=strength)
    unseen = blobs(50, d, classes, seed=1)[0]
    for points in (x, unseen):
        expected = solved(x, y, strength).predict_proba(points.astype("float64"))
        assert differ(probe.predict_on_batch(points), expected) < 1e-4


def correlated(n, d, classes, seed=0):
    """Overlapping clouds along few directions, seen through many features of very different scale."""
    random = np.random.default_rng(seed)
    y = np.arange(n) % classes
    hidden = random.normal(size=(n, d)) + 1.5 * random.normal(size=(classes, d))[y]
    mixed = (hidden / np.arange(1, d + 1)) @ random.normal(size=(d, d)) * 10.0 ** random.uniform(-2, 2, d)
    return np.maximum(mixed, 0).astype("float32"), y  # rectified, as features are


def penalised(probabilities, y, kernel, strength):
    """The loss that scikit-learn minimises: a mean log loss and the penalty on the standardised features' weights."""
    picked = np.asarray(probabilities, "float64")[np.arange(len(y)), y]
    return -np.log(picked).mean() + np.sum(kernel**2) / 2 / strength / len(y)


def losses(probe, x, y, strength):
    """The probe's penalised loss, and scikit-learn's."""
    pipeline = solved(x, y, strength)
    scaler, theirs = pipeline[0], pipeline[1]
    kernel, bias = (w.astype("float64") for w in probe.get_weights())
    logits = x.astype("float64") @ kernel + bias
    p = np.exp(logits - logits.max(1, keepdims=True))
    ours = penalised(p / p.sum(1, keepdims=True), y, kernel * scaler.scale_[:, None], strength)
    return ours, penalised(pipeline.predict_proba(x.astype("float64")), y, theirs.coef_.T, strength)


@pytest.mark.parametrize("n, d", [(300, 80), (80, 300), (90, 85)])
@pytest.mark.parametrize("strength", [1e-4, 1e-2, 10.0])
def test_correlated_features_reach_scikit_learns_loss(n, d, strength):
    x, y = correlated(n, d, 5)
    probe = tl.linear_probe((x, y), strength=strength)
    ours, theirs = losses(probe, x, y, strength)
    assert ours <= 1.0001 * theirs
    assert differ(probe.predict_on_batch(x), solved(x, y, strength).predict_proba(x.astype("float64"))) < 1e-4


@pytest.fixture(params=["float64", "float32"])
def arithmetic(request, monkeypatch):
    """Solve as few values are solved, exactly, or as many are, in float32."""
    monkeypatch.setattr(_logistic, "LARGE", 0 if request.param == "float32" else np.inf)
    return request.param


@pytest.mark.parametrize("strength", [1e-4, 1e-2, 10.0])
def test_many_pictures_reach_scikit_learns_loss(arithmetic, strength):
    x, y = correlated(_logistic.MANY, 60, 5)
    y = np.where(np.arange(len(y)) % 7 == 0, (y + 1) % 5, y)  # wrong labels: no plane separates the classes
    probe = tl.linear_probe((x, y), strength=strength)
    ours, theirs = losses(probe, x, y, strength)
    apart = differ(probe.predict_on_batch(x), solved(x, y, strength).predict_proba(x.astype("float64")))
    loss, probability = {"float64": (1.0001, 1e-4), "float32": (1.001, 0.05)}[arithmetic]
    assert ours <= loss * theirs and apart < probability


def test_many_pictures_of_two_classes_with_still_more_features(arithmetic, monkeypatch):
    monkeypatch.setattr(_logistic, "MANY", 300)
    x, y = correlated(300, 350, 2)
    probe = tl.linear_probe((x, y), strength=1e-2)
    apart = differ(probe.predict_on_batch(x), solved(x, y, 1e-2).predict_proba(x.astype("float64")))
    assert apart < {"float64": 1e-3, "float32": 0.01}[arithmetic]


def folds_choose(x, y):
    """The strength that scikit-learn's own solutions predict best with, in five folds."""
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    tried = [
        make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=9999, tol=1e-6)) for c in _logistic.STRENGTHS
    ]
    scores = [cross_val_score(model, x, y, cv=folds, scoring="neg_log_loss").mean() for model in tried]
    return _logistic.STRENGTHS[int(np.argmax(scores))]


@pytest.mark.parametrize("n", [150, _logistic.MANY])
@pytest.mark.parametrize("wrong", [2, 4])  # every second, every fourth label may be another class's
def test_the_strength_is_as_good_as_the_one_that_folds_choose(n, wrong):
    x, y = correlated(n + 2000, 40, 3)
    swapped = np.arange(len(y)) % wrong == 0
    y = np.where(swapped, np.random.default_rng(1).integers(0, 3, len(y)), y)
    strengths = None, folds_choose(x[:n].astype("float64"), y[:n])
    probes = [tl.linear_probe((x[:n], y[:n]), strength=strength) for strength in strengths]
    chosen, expected = (unseen_loss(probe, x[n:], y[n:]) for probe in probes)
    assert chosen <= 1.02 * expected


def unseen_loss(probe, x, y):
    return -np.log(np.asarray(probe.predict_on_batch(x), "float64")[np.arange(len(y)), y]).mean()


@pytest.mark.parametrize("n, d, classes", [(60, 200, 2), (200, 10, 3)])
def test_the_strength_of_few_pictures_is_the_one_that_folds_choose(n, d, classes):
    x, y = blobs(n, d, classes)
    chosen, expected = tl.linear_probe((x, y)), tl.linear_probe((x, y), strength=folds_choose(x.astype("float64"), y))
    assert differ(chosen.predict_on_batch(x), expected.predict_on_batch(x)) < 1e-6


def test_what_is_held_out_has_its_share_of_each_class():
    y = np.repeat([0, 1, 2, 3], [1, 10, 100, 1000])
    order = _logistic.shuffled(y, seed=0)
    held = np.bincount(y[order][-222:], minlength=4)
    assert sorted(order) == list(range(1111)) and held[0] == 0 and np.all(np.abs(held - [0, 2, 20, 200]) <= 2)
    assert not np.array_equal(order, _logistic.shuffled(y, seed=1))


def test_a_probe_leaves_its_features_alone(arithmetic):
    x, y = blobs(_logistic.MANY, 5, 3)
    before = x.copy()
    tl.linear_probe((x, y))
    assert np.array_equal(x, before)


def test_a_probe_is_a_keras_model_on_features():
    probe = tl.linear_probe(blobs(40, 7, 3))
    assert isinstance(probe, keras.Model) and probe.input_shape == (None, 7) and probe.output_shape == (None, 3)
    assert np.allclose(probe.predict_on_batch(blobs(5, 7, 3)[0]).sum(1), 1)


def test_the_chosen_strength_is_the_one_that_predicts_best():
    x, y = blobs(60, 200, 2)
    rng = np.random.default_rng(0)
    unlearnable = rng.permutation(y)  # labels that mean nothing: the strongest penalty is best
    by_chance, learned = (tl.linear_probe((x, labels)).predict_on_batch(x) for labels in (unlearnable, y))
    assert differ(by_chance, 0.5) < 0.1 < differ(learned, 0.5)


def test_a_probe_is_the_same_each_time():
    x, y = blobs(60, 20, 3)
    first, again = (tl.linear_probe((x, y), seed=1).get_weights() for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("absent", [0, 1, 2])
def test_a_class_without_an_example_gets_no_probability(absent):
    x, y = blobs(60, 5, 3)
    part = Part(x[y != absent], y[y != absent])
    nothing = Part(x[:0], y[:0])
    probe = tl.linear_probe(Features(part, nothing, nothing, ["a", "b", "c"]), strength=1.0)
    found, seen = probe.predict_on_batch(x), [c for c in range(3) if c != absent]
    assert found.shape == (60, 3) and found[:, absent].max() < 1e-6
    assert differ(found[:, seen], solved(part.x, part.y, 1.0).predict_proba(x.astype("float64"))) < 1e-4


def test_the_probe_learns_from_what_it_may():
    x, y = blobs(90, 5, 3)
    features = Features(Part(x[:40], y[:40]), Part(x[40:70], y[40:70]), Part(x[70:], y[70:]), ["a", "b", "c"])
    for with_val, rows in ((False, 40), (True, 70)):
        found = tl.linear_probe(features, with_val=with_val, strength=0.1).predict_on_batch(x)
        assert differ(found, solved(x[:rows], y[:rows], 0.1).predict_proba(x.astype("float64"))) < 1e-4


def test_constant_features_say_nothing():
    x, y = blobs(60, 5, 2)
    with_constants = np.concatenate([x, np.zeros((60, 1)), np.full((60, 1), 1e6)], axis=1).astype("float32")
    probe = tl.linear_probe((with_constants, y), strength=1.0)
    assert differ(probe.predict_on_batch(with_constants), solved(x, y, 1.0).predict_proba(x.astype("float64"))) < 1e-4


def test_nothing_but_constant_features():
    probe = tl.linear_probe((np.zeros((10, 3), "float32"), np.array([0, 1] * 5)))
    assert np.allclose(probe.predict_on_batch(np.zeros((2, 3))), 0.5, atol=1e-3)


def test_two_pictures_are_enough_for_a_probe():
    probe = tl.linear_probe((np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([0, 1])))
    assert probe.predict_on_batch(np.array([[0.0, 1.0], [1.0, 0.0]])).argmax(1).tolist() == [0, 1]


@pytest.mark.parametrize("labels", [[1, 1, 1], []])
def test_one_class_is_no_task(labels):
    with pytest.raises(ValueError, match=rf"at least two classes. Received: labels of {len(set(labels))}\."):
        tl.linear_probe((np.zeros((len(labels), 2)), np.array(labels, int)))


def test_whole_maps_are_flattened():
    x, y = blobs(40, 12, 2)
    flat, maps = (tl.linear_probe((a, y), strength=1.0) for a in (x, x.reshape(40, 2, 2, 3)))
    assert close(maps.predict_on_batch(x), flat.predict_on_batch(x))


# joining


@pytest.fixture(scope="module")
def resnet():
    keras.utils.set_random_seed(0)
    return shaken(tl.load_backbone("resnet50", "mini", weights=None))


@pytest.mark.parametrize("pooling", ["avg", "max", "avg+dev"])
def test_the_joined_model_is_the_probe_on_features(resnet, pooling):
    pictures, y = pixels(12), np.arange(12) % 3
    features = np.array(tl.extract_features(resnet, pictures, pooling=pooling, store=None))
    probe = tl.linear_probe((features, y), strength=1.0)
    model = tl.attach_head(resnet, probe, pooling=pooling)
    assert np.abs(np.asarray(model.predict_on_batch(pictures)) - probe.predict_on_batch(features)).max() < 1e-5


def test_a_head_is_copied_and_a_backbone_shared(resnet):
    probe = tl.linear_probe(blobs(20, 512, 2))
    model = tl.attach_head(resnet, probe)
    kept = probe.get_weights()
    head = model.get_layer("head")
    assert np.array_equal(head.kernel, kept[0]) and np.array_equal(head.bias, kept[1])
    head.kernel.assign(head.kernel + 1)
    assert np.array_equal(probe.get_weights()[0], kept[0])
    name = "conv5_block3_3_conv"
    assert model.get_layer(name).kernel is resnet.model.get_layer(name).kernel


def test_a_number_makes_a_random_linear_head(resnet):
    for number in (4, np.int64(4)):
        model = tl.attach_head(resnet, number)
        assert model.output_shape == (None, 4)
        assert [v.shape for v in model.get_layer("head").weights] == [(512, 4), (4,)]


def test_every_batchnorm_is_frozen_by_joining(resnet):
    layers = [x for x in tl.attach_head(resnet, 2).layers if isinstance(x, keras.layers.BatchNormalization)]
    assert layers and not any(layer.trainable for layer in layers)


def test_heads_of_ones_own(resnet):
    x = keras.Input((512,))
    hidden = keras.layers.Dense(512, "relu")(x)
    joined = keras.layers.Add()([x, hidden])
    branched = keras.Model(x, keras.layers.Dense(3, "softmax")(joined))
    stacked = keras.Sequential([keras.Input((512,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3, "softmax")])
    pictures = pixels(3)
    features = tl.extract_features(resnet, pictures, store=None)
    for head in (branched, stacked):
        model = tl.attach_head(resnet, head)
        assert np.abs(model.predict_on_batch(pictures) - head.predict_on_batch(features)).max() < 1e-5
        assert len(tl.freeze(model, ["head"])) == 4
        assert not {id(v) for v in head.weights} & {id(v) for v in model.weights}


def test_a_head_of_the_wrong_width(resnet):
    with pytest.raises(ValueError, match=r"the head must take the backbone's 512 features. Received: a head for 7\."):
        tl.attach_head(resnet, tl.linear_probe(blobs(20, 7, 2)))


def test_an_unknown_pooling(resnet):
    with pytest.raises(ValueError, match=r"pooling must be one of 'avg', 'max', 'avg\+dev'. Received: 'sum'\."):
        tl.attach_head(resnet, 2, pooling="sum")


def test_dropout_is_part_of_the_head(resnet):
    model = tl.attach_head(resnet, 2, dropout=0.5)
    assert model.get_layer("head_dropout").rate == 0.5
    assert len(tl.freeze(model, ["head"])) == 2


def test_two_heads_on_one_backbone():
    backbone = full_backbone("vgg16")
    one, other = tl.attach_head(backbone, 2), tl.attach_head(backbone, 3)
    assert (one.output_shape, other.output_shape) == ((None, 2), (None, 3))


@pytest.mark.parametrize("layer", ["conv4", "conv4_block6_out", "conv3_block1_out"])
def test_a_head_on_a_middle_stage_gives_what_its_probe_gives(layer):
    backbone, splits = small_backbone("resnet50"), small_splits()
    features = tl.extract_features(backbone, splits, layer=layer, store=None)
    probe = tl.linear_probe(features)
    model = tl.attach_head(backbone, probe, layer=layer)
    truth = probe.predict_on_batch(features.test.x)
    assert close(model.predict_on_batch(splits.test.array()), truth, 1e-4)
    assert not [layer.name for layer in model.layers if layer.name.startswith("conv5")]
    run = tl.fine_tune(model, splits, [tl.Phase(("conv3" if "conv3" in layer else "conv4", "head"), 1)], store=None)
    assert run.plan["variables"].iloc[0] > 2


def test_a_head_on_several_stages_is_trained_saved_and_loaded(tmp_path):
    backbone, splits = small_backbone("resnet50"), small_splits()
    stages = {"layer": ["conv2", "conv3", "conv4"], "pooling": "avg+dev"}
    features = tl.extract_features(backbone, splits, store=None, **stages)
    probe = tl.linear_probe(features)
    model = tl.attach_head(backbone, probe, **stages)
    assert close(model.predict_on_batch(splits.test.array()), probe.predict_on_batch(features.test.x), 1e-4)
    run = tl.fine_tune(model, splits, [tl.Phase(("head",), 1), tl.Phase(("conv4", "head"), 1)], store=None)
    assert run.plan["cut at"].iloc[0] == "head_pool"
    assert "several tensors" in run.plan["why"].iloc[1]
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert close(again.predict_on_batch(splits.test.array()), model.predict_on_batch(splits.test.array()))


def test_a_head_on_a_layer_that_there_is_not():
    with pytest.raises(ValueError, match="stage must be one of conv1.*Received: 'block9'"):
        tl.attach_head(small_backbone("resnet50"), 2, layer="block9")
