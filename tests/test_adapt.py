"""Adaptation: problems in the plane whose answers are known, and problems on which each remedy must fail."""

import keras
import numpy as np
import pytest
from conftest import close, pixels, same, small_backbone
from scipy.linalg import sqrtm
from sklearn.datasets import make_moons

import tlteach as tl
from tlteach._dann import GradientReversal
from tlteach._stages import sources
from tlteach.features import split_of_array


def right(model, x, y):
    """Share of rows that a model on features classifies rightly."""
    return float((np.asarray(model.predict_on_batch(x)).argmax(1) == y).mean())


def rotated(x, degrees):
    angle = np.deg2rad(degrees)
    return x @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def clouds(n, *, first=0.5, seed=0, apart=3.0):
    """Two round clouds on both sides of 0 on the first axis; `first` is the share of class 0."""
    random = np.random.default_rng(seed)
    y = (np.arange(n) >= first * n).astype(int)
    return random.normal(size=(n, 2)) + np.stack([apart * (y - 0.5), 0 * y], 1), y


STRETCH = np.array([[2.0, 1.7], [1.7, 2.0]])  # along a diagonal


def whitened(x):
    return (x - x.mean(0)) @ np.linalg.inv(sqrtm(np.cov(x, rowvar=False)).real)


def stretched():
    """A round source, and a target that is the source's kind stretched along a diagonal, and shifted."""
    (x, y), (t, truth) = clouds(2000), clouds(2000, seed=1)
    return whitened(x), y, whitened(t) @ STRETCH + [5, -3], truth


def test_coral_undoes_a_stretch():
    x, y, target, truth = stretched()
    best = right(tl.linear_probe((target, truth)), target, truth)
    before = right(tl.linear_probe((x, y)), target, truth)
    after = right(tl.Coral(ridge=0).fit((x, y), target), target, truth)
    assert before < 0.8 and best > 0.92 and after > best - 0.01
    aligned, labels = tl.Coral(ridge=0).align((x, y), target)
    assert np.allclose(np.cov(aligned, rowvar=False), np.cov(target, rowvar=False))
    assert np.allclose(aligned.mean(0), target.mean(0)) and np.array_equal(labels, y)


@pytest.mark.parametrize("ridge", [0.3, 1.0])
def test_coral_is_the_papers_closed_form(ridge):
    random = np.random.default_rng(0)
    x, target = random.normal(size=(60, 5)) @ random.normal(size=(5, 5)), random.normal(size=(50, 5)) * [1, 2, 3, 1, 1]
    x, target = ((d - d.mean(0)) / d.std(0, ddof=1) for d in (x, target))  # as in the paper: standardised, then + I
    source, other = (np.cov(d, rowvar=False) + ridge * np.eye(5) for d in (x, target))
    expected = x @ np.linalg.inv(sqrtm(source)) @ sqrtm(other)
    found = tl.Coral(ridge=ridge).align((x, np.arange(60) % 2), target)[0]
    assert np.abs(found - expected).max() < 1e-6


def test_coral_of_fewer_rows_than_features_is_finite():
    x = np.random.default_rng(0).normal(size=(10, 30))
    aligned = tl.Coral(ridge=0).align((x, np.arange(10) % 2), 2 * x + 1)[0]
    assert np.allclose(aligned, 2 * x + 1)


def test_coral_takes_other_class_frequencies_for_a_shift():
    (x, y), (target, truth) = clouds(2000), clouds(2000, first=0.9, seed=1)  # nothing else differs
    assert right(tl.linear_probe((x, y)), target, truth) > 0.9
    assert right(tl.Coral(ridge=0).fit((x, y), target), target, truth) < 0.75


def test_coral_does_not_see_a_rotation_of_what_is_round():
    x, y, _, truth = stretched()
    turned = rotated(whitened(clouds(2000, seed=1)[0]), 90)
    assert right(tl.Coral().fit((x, y), turned), turned, truth) < 0.65
    assert right(tl.linear_probe((turned, truth)), turned, truth) > 0.9


def test_self_training_goes_far_in_small_steps_and_nowhere_in_one():
    x, y = clouds(600, apart=5.0)
    steps = [rotated(clouds(600, seed=d, apart=5.0)[0], d) for d in range(10, 181, 10)]
    assert right(tl.SelfTraining().fit((x, y), steps), steps[-1], y) > 0.9  # the classes have changed sides
    for one in (tl.SelfTraining(rounds=4), tl.SelfTraining(rounds=4, with_source=True)):
        assert right(one.fit((x, y), steps[-1]), steps[-1], y) < 0.1


def test_self_training_learns_from_the_surest_of_each_class():
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.7, 0.3], [0.45, 0.55], [0.3, 0.7]])
    rows, labels = tl.SelfTraining(keep=0.5).choose(probabilities)
    assert rows.tolist() == [0, 2, 5] and labels.tolist() == [0, 0, 1]


def test_self_training_keeps_an_output_for_a_class_the_target_lacks():
    x, y = np.repeat([[0.0, 0], [5, 0], [0, 5]], 10, axis=0), np.repeat([0, 1, 2], 10)
    x += np.random.default_rng(0).normal(0, 0.1, x.shape)
    model = tl.SelfTraining(strength=1.0).fit((x, y), x[:20] + 0.1)
    assert model.output_shape == (None, 3) and right(model, x[:20], y[:20]) == 1


def test_few_labels_are_weighed():
    (x, y), target = clouds(400), rotated(clouds(400, seed=1)[0], 90)
    truth, few = clouds(400, seed=1)[1], slice(None, None, 20)
    assert right(tl.linear_probe((x, y)), target, truth) < 0.65
    assert right(tl.FewLabels(share=0.9).fit((x, y), (target[few], truth[few])), target, truth) > 0.85
    none = tl.FewLabels(share=1e-6, strength=1.0).fit((x, y), (target[few], truth[few]))
    assert close(none.predict_on_batch(x), tl.linear_probe((x, y), strength=1.0).predict_on_batch(x), 0.05)


def test_what_remedies_are_given():
    x, y = clouds(10)
    with pytest.raises(ValueError, match=r"must be \(x, y\), such as features\.train.*Received: a ndarray\."):
        tl.Coral().fit(x, x)
    with pytest.raises(ValueError, match=r"one array \(n, features\).*Received: a tuple; leave the labels out\."):
        tl.Coral().fit((x, y), (x, y))
    with pytest.raises(ValueError, match=r"the same features\. Received: 2 and 1 columns\."):
        tl.Dann().fit((x, y), x[:, :1])
    with pytest.raises(ValueError, match=r"two rows or more, all finite\. Received: 10 rows\."):
        tl.SelfTraining().fit((x, y), x * np.nan)
    with pytest.raises(ValueError, match=r"integers from 0, one for each of 10 rows\. Received: float64 of shape \(3,"):
        tl.SelfTraining().fit((x, y[:3] / 2), x)
    with pytest.raises(ValueError, match=r"ridge must be 0 or more\. Received: -1\."):
        tl.Coral(ridge=-1).fit((x, y), x)
    with pytest.raises(ValueError, match=r"keep must be above 0.*Received: keep=0, rounds=1\."):
        tl.SelfTraining(keep=0).fit((x, y), x)
    with pytest.raises(ValueError, match=r"share must be between 0 and 1\. Received: 1\."):
        tl.FewLabels(share=1).fit((x, y), (x, y))
    with pytest.raises(ValueError, match=r"two classes in the target\. Received: 10 rows that the probe all takes for"):
        tl.SelfTraining().fit((x, y), x + [100, 0])


def test_the_gradient_comes_back_reversed():
    """Steps of plain gradient descent, by hand: y = kernel * x, loss (y - 0)^2."""
    x, layer = keras.Input((1,)), GradientReversal(2.0)
    dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")
    model = keras.Model(x, layer(dense(x)))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    kernel = 1.0
    for _ in range(3):
        model.train_on_batch(np.ones((4, 1)), np.zeros((4, 1)))
        kernel += 0.1 * 2 * 2 * kernel
        assert np.asarray(dense.kernel)[0, 0] == pytest.approx(kernel, rel=1e-5)
    assert close(model.predict_on_batch(np.ones((1, 1))), np.full((1, 1), kernel), 1e-6)
    assert GradientReversal.from_config(layer.get_config()).strength == 2


def papers_moons(n=300, seeds=(1, 2)):
    """The inter-twinning moons of Ganin et al. 2016, the target turned by 35 degrees."""
    (x, y), (target, truth) = (make_moons(n, noise=0.05, random_state=seed) for seed in seeds)
    return 2 * (x - x.mean(0)), y, rotated(2 * (target - x.mean(0)), 35), truth


def test_dann_on_the_papers_moons():
    x, y, target, truth = papers_moons()
    found, plain = (tl.Dann(units=15, strength=s, epochs=n).fit((x, y), target) for s, n in ((6.0, 300), (0.0, 100)))
    assert right(found, x, y) > 0.97 and right(plain, x, y) > 0.97
    assert right(found, target, truth) > 0.88 and right(plain, target, truth) < 0.87


def test_a_batch_of_dann_has_as_many_rows_of_either_domain():
    orders = list(tl.Dann(batch_size=6, epochs=3).orders(8, 0))
    batches = np.concatenate(orders).reshape(-1, 6)
    assert batches.shape == (6, 6) and (batches[:, :3] < 8).all() and (batches[:, 3:] >= 8).all()
    assert all(len(set(one.ravel())) == 12 for one in batches.reshape(3, 2, 6))  # no row twice in a pass
    with pytest.raises(ValueError, match=r"batch_size must be 2 or more, half of each domain\. Received: 1\."):
        tl.Dann(batch_size=1).fit((np.eye(2), np.array([0, 1])), np.eye(2))


def test_dann_gives_a_plain_model(tmp_path):
    x, y = clouds(40)
    model = tl.Dann(units=4, epochs=2).fit((x, y), x + 1)
    again = tl.Dann(units=4, epochs=2).fit((x, y), x + 1)
    assert close(again.predict_on_batch(x), model.predict_on_batch(x), 1e-5)
    assert [layer.name for layer in model.layers] == ["features", "scale", "hidden", "head"]
    model.save(tmp_path / "model.keras")
    assert close(keras.models.load_model(tmp_path / "model.keras").predict_on_batch(x), model.predict_on_batch(x))


def normed(pictures=None):
    """A network of two BatchNorm layers with a dropout between; trained statistics are those of the pictures."""
    keras.utils.set_random_seed(0)
    layers = [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.BatchNormalization()]
    layers += [keras.layers.Dropout(0.5), keras.layers.Conv2D(5, 3), keras.layers.BatchNormalization()]
    layers += [keras.layers.Flatten(), keras.layers.Dense(2, "softmax")]
    return keras.Sequential(layers)


def test_statistics_are_those_of_each_layers_input():
    model, x = normed(), pixels(30, (8, 8)) / 50
    before = model.get_weights()
    new = tl.BatchNormStatistics().fit(model, x)
    assert same(model.get_weights(), before)
    first, second = (layer for layer in new.layers if isinstance(layer, keras.layers.BatchNormalization))
    for norm in (first, second):
        place = new.layers.index(norm)
        given = np.asarray(keras.Sequential(new.layers[:place])(x), "float64")
        assert close(norm.moving_mean, given.mean((0, 1, 2)), 1e-5)
        assert close(norm.moving_variance, given.var((0, 1, 2)), 1e-4)


def test_a_change_of_brightness_and_contrast_is_undone_exactly():
    """A BatchNorm right behind the pixels: with statistics of its own kind each domain looks the same."""
    keras.utils.set_random_seed(0)
    layers = [keras.Input((8, 8, 3)), keras.layers.BatchNormalization(epsilon=1e-7), keras.layers.Conv2D(4, 3)]
    layers += [keras.layers.BatchNormalization(), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")]
    model, x = keras.Sequential(layers), pixels(30, (8, 8))
    source = tl.BatchNormStatistics().fit(model, x)
    other = tl.BatchNormStatistics().fit(source, 0.3 * x + 60)
    assert close(other(0.3 * x + 60), source(x), 1e-4) and not close(source(0.3 * x + 60), source(x), 0.05)


def test_statistics_of_a_whole_network_take_pictures_of_a_split():
    model = tl.attach_head(small_backbone("resnet50"), 2)
    split = split_of_array(pixels(12, (40, 40)).astype("uint8"))
    new = tl.BatchNormStatistics(most=6).fit(model, split, seed=3)
    drawn = split.take(np.sort(np.random.default_rng(3).permutation(12)[:6]))
    names = ["conv1_bn", "conv3_block2_1_bn", "conv5_block3_3_bn"]
    ends = [sources(new, new.get_layer(name))[0] for name in names]
    given = keras.Model(new.input, [new.get_layer(end).output for end in ends])(drawn.sized((32, 32)).array())
    for name, values in zip(names, given, strict=True):
        assert close(new.get_layer(name).moving_mean, np.asarray(values).mean((0, 1, 2)), 1e-4)
        assert not close(new.get_layer(name).moving_mean, model.get_layer(name).moving_mean, 0.1)
    assert not any(new.get_layer(name).trainable for name in names)
    with pytest.raises(ValueError, match=r"two pictures or more\. Received: 1 pictures, most=500\."):
        tl.BatchNormStatistics().fit(model, split.take([0]))


def test_a_model_without_batchnorm():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, "softmax")], name="plain")
    with pytest.raises(ValueError, match=r"needs BatchNorm layers\. Received: 'plain', which has none; try Coral"):
        tl.BatchNormStatistics().fit(model, np.zeros((4, 2)))
