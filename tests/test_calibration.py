"""Calibration: the bins are scikit-learn's, and the temperature is the one a grid search finds."""

import keras
import numpy as np
import pytest
from conftest import pixels, same, small_backbone
from scipy.special import softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss
from test_decisions import two_classes

import tlteach as tl
from tlteach.calibration import best_temperature
from tlteach.evaluation import report_of, wilson
from tlteach.features import split_of_array


@pytest.fixture(scope="module")
def report():
    scores = np.random.default_rng(0).random((2, 100))
    return two_classes(np.maximum(*scores), np.minimum(*scores), patient=np.arange(200) // 5)


def right_and_confidence(report):
    table = report.predictions
    return (table["class"] == table["predicted"]).to_numpy(), table["probability"].to_numpy()


def test_bins_are_scikit_learns(report):
    table = tl.calibration_table(report, bins=7)
    accuracy, confidence = calibration_curve(*right_and_confidence(report), n_bins=7, strategy="quantile")
    assert np.allclose(table["accuracy"], accuracy) and np.allclose(table["confidence"], confidence)
    assert table["n"].sum() == 200 and table["n"].max() - table["n"].min() <= 1
    first = table.iloc[0]
    assert (first["low"], first["high"]) == wilson(round(first["accuracy"] * first["n"]), first["n"])


def test_the_error_counted_by_hand():
    report = two_classes([0.9, 0.9, 0.6, 0.6], [0.1, 0.1, 0.6, 0.6])  # 0.9 sure and all right; 0.6 sure, half right
    assert tl.calibration_table(report, bins=2)["accuracy"].tolist() == [0.5, 1]
    assert tl.expected_calibration_error(report, bins=2) == pytest.approx((0.1 + 0.1) / 2)
    assert tl.expected_calibration_error(report, bins=1) == pytest.approx(0)  # 0.75 sure, 0.75 right


def test_equal_confidences_share_a_bin_and_groups_are_counted(report):
    table = tl.calibration_table(two_classes([0.9] * 9, [0.1] * 3), bins=5)
    assert table["n"].tolist() == [12] and table["accuracy"].tolist() == [1] and table["low"][0] < 0.8
    grouped = report_of(report.predictions, report.classes, groups="patient")
    table = tl.calibration_table(grouped, bins=2)
    assert (table["groups"] <= 40).all() and (table["groups"] > 20).all()


@pytest.mark.parametrize("bins", [0, 201])
def test_a_number_of_bins_that_cannot_be(report, bins):
    with pytest.raises(ValueError, match=rf"bins must be 1 to 200, the number of pictures\. Received: {bins}\."):
        tl.expected_calibration_error(report, bins=bins)


def test_the_temperature_that_made_a_model_too_sure_is_found():
    random = np.random.default_rng(0)
    honest = random.normal(0, 1.5, (4000, 3))
    labels = np.array([random.choice(3, p=p) for p in softmax(honest, 1)])
    assert best_temperature(2.5 * honest, labels) == pytest.approx(2.5, rel=0.06)
    assert best_temperature(0.4 * honest, labels) == pytest.approx(0.4, rel=0.06)


@pytest.fixture(scope="module")
def scaled():
    """A model, a split of which it takes a quarter wrongly, and the model scaled on it."""
    model = tl.attach_head(small_backbone("vgg16"), 3, dropout=0.2)
    model.get_layer("head").bias.assign([0.5, 0.0, -0.3])  # one of zeros would hide that it is forgotten
    pictures = pixels(24, (32, 32)).astype("uint8")
    probabilities = model.predict(pictures.astype("float32"), verbose=0)
    unsure = np.argsort(probabilities.max(1))[:6]
    labels = probabilities.argmax(1)
    labels[unsure] = probabilities[unsure].argsort(1)[:, 1]
    split, before = split_of_array(pictures, labels, classes="abc"), model.get_weights()
    return model, split, before, *tl.scale_temperature(model, split)


def test_temperature_is_that_of_a_grid_search(scaled):
    model, split, _, _, temperature = scaled
    logs = np.log(model.predict(split.array(), verbose=0).astype("float64"))
    grid = np.geomspace(temperature / 3, temperature * 3, 801)
    losses = [log_loss(split.labels, softmax(logs / t, 1), labels=range(3)) for t in grid]
    assert temperature == pytest.approx(grid[np.argmin(losses)], rel=3e-3) and abs(temperature - 1) > 0.05


def test_scaled_model_divides_the_logits_and_nothing_else(scaled):
    model, split, before, new, temperature = scaled
    old, scaled_to = (m.predict(split.array(), verbose=0) for m in (model, new))
    assert np.allclose(scaled_to, softmax(np.log(old.astype("float64")) / temperature, 1), atol=1e-5)
    assert np.array_equal(old.argmax(1), scaled_to.argmax(1))
    assert same(model.get_weights(), before)
    assert [layer.name for layer in new.layers] == [layer.name for layer in model.layers]
    shared = [a is b for a, b in zip(model.layers, new.layers, strict=True)]
    assert all(shared[:-1]) and not shared[-1]


def test_scaled_model_is_a_plain_one(scaled, tmp_path):
    _, split, _, new, _ = scaled
    new.save(tmp_path / "model.keras")
    back = keras.models.load_model(tmp_path / "model.keras")
    assert np.allclose(back.predict(split.array(), verbose=0), new.predict(split.array(), verbose=0), atol=1e-6)
    assert tl.evaluate(new, split).accuracy == 0.75


@pytest.mark.parametrize("use_bias", [True, False])
def test_a_sequential_model_of_ones_own(use_bias):
    keras.utils.set_random_seed(0)
    head = keras.layers.Dense(2, "softmax", use_bias=use_bias)
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Rescaling(1 / 64), keras.layers.Flatten(), head])
    pictures = pixels(20, (4, 4)).astype("uint8")
    probabilities = model.predict(pictures.astype("float32"), verbose=0)
    labels = probabilities.argmax(1)
    labels[probabilities.max(1).argsort()[:4]] ^= 1
    new, temperature = tl.scale_temperature(model, split_of_array(pictures, labels, classes="ab"))
    expected = softmax(np.log(probabilities.astype("float64")) / temperature, 1)
    assert np.allclose(new.predict(pictures.astype("float32"), verbose=0), expected, atol=1e-5)


def test_a_split_that_cannot_tell_the_temperature():
    logits = np.array([[2.0, 0], [0, 1], [3, 1]])
    with pytest.raises(ValueError, match=r"told by mistakes.*Received: 3 pictures, all classified rightly; use more"):
        best_temperature(logits, np.array([0, 1, 0]))
    with pytest.raises(
        ValueError, match=r"knows something of the pictures\. Received: outputs on 3 pictures that are no"
    ):
        best_temperature(logits, np.array([1, 0, 1]))


def test_models_that_cannot_be_scaled(scaled):
    split, x = scaled[1], keras.Input((32, 32, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(x)
    sigmoid = keras.Model(x, keras.layers.Dense(3, "sigmoid", name="out")(pooled))
    with pytest.raises(
        ValueError, match=r"must end in a Dense layer with a softmax\. Received: 'out' with .* 'sigmoid'"
    ):
        tl.scale_temperature(sigmoid, split)
    with pytest.raises(ValueError, match=r"must end in one Dense layer.*ends in Softmax 'soft'\."):
        tl.scale_temperature(keras.Model(x, keras.layers.Softmax(name="soft")(pooled)), split)
    with pytest.raises(ValueError, match=r"split must be one split with pictures, such as pets\.val\. Received: 3\."):
        tl.scale_temperature(scaled[0], 3)
