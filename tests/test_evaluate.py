"""Evaluation: the numbers are scikit-learn's, and the interval covers what it says."""

import keras
import numpy as np
import pytest
from conftest import drawn, small_backbone, small_splits
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

import tlteach as tl
from tlteach.evaluation import _bootstrap, predict
from tlteach.features import split_of_array

CLASSES = ["a", "b", "c"]


@pytest.fixture(scope="module")
def answers():
    """A model that reads its answer from the first pixel, and a split with true labels and those answers."""
    random = np.random.default_rng(0)
    scores = random.integers(0, 256, (60, 3))
    labels = np.where(random.random(60) < 0.7, scores.argmax(1), random.integers(0, 3, 60))
    pictures = np.stack([drawn(i, (4, 4)) for i in range(60)]).copy()
    pictures[:, 0, 0] = scores
    x = keras.Input((4, 4, 3))
    first = keras.layers.Cropping2D(((0, 3), (0, 3)))(x)
    y = keras.layers.Softmax()(keras.layers.Rescaling(1 / 50)(keras.layers.Flatten()(first)))
    split = split_of_array(pictures, labels, classes=CLASSES)
    return keras.Model(x, y), split, scores.argmax(1)


@pytest.fixture(scope="module")
def report(answers):
    model, split, _ = answers
    return tl.evaluate(model, split)


def test_accuracy_and_confusion_are_scikit_learns(answers, report):
    _, split, predicted = answers
    assert report.accuracy == accuracy_score(split.labels, predicted) and report.n == 60
    assert np.array_equal(report.confusion, confusion_matrix(split.labels, predicted))
    assert report.confusion.index.tolist() == report.confusion.columns.tolist() == report.classes == CLASSES
    assert report.confusion.index.name == "class" and report.confusion.columns.name == "predicted"


def test_each_class_is_scikit_learns(answers, report):
    _, split, predicted = answers
    expected = precision_recall_fscore_support(split.labels, predicted)
    assert report.per_class.columns.tolist() == ["precision", "recall", "f1", "n"]
    assert np.allclose(report.per_class.T, expected)


def test_predictions_stand_beside_their_pictures(answers, report):
    model, split, predicted = answers
    table = report.predictions
    assert table["predicted"].tolist() == [CLASSES[i] for i in predicted]
    assert table["class"].tolist() == [CLASSES[i] for i in split.labels]
    assert np.allclose(table[["p_a", "p_b", "p_c"]], predict(model, split))
    assert np.allclose(table["probability"], table[["p_a", "p_b", "p_c"]].max(axis=1))


def test_mistakes_come_most_confident_first(report):
    mistakes = report.mistakes()
    assert len(mistakes) == round(60 * (1 - report.accuracy)) > 5
    assert (mistakes["class"] != mistakes["predicted"]).all()
    assert mistakes["probability"].is_monotonic_decreasing


def test_the_interval_covers_the_true_accuracy():
    random, covered = np.random.default_rng(0), []
    for _ in range(300):
        low, high = _bootstrap(random.random(200) < 0.8, 1000, 0)
        covered.append(low <= 0.8 <= high)
    assert 0.90 < np.mean(covered) < 0.99


def test_the_interval_is_seeded_and_narrows_with_pictures(answers, report):
    model, split, _ = answers
    low, high = report.accuracy_interval
    assert low < report.accuracy < high
    assert tl.evaluate(model, split).accuracy_interval == report.accuracy_interval
    few, many = (np.arange(n) % 10 < 8 for n in (50, 5000))
    assert np.diff(_bootstrap(many, 2000, 0)) < np.diff(_bootstrap(few, 2000, 0)) / 5


def test_a_class_that_is_absent_or_never_predicted_has_a_row(answers):
    model, split, predicted = answers
    only_a = split.take(np.flatnonzero((split.labels == 0) & (predicted == 0)))
    report = tl.evaluate(model, only_a)
    assert report.confusion.shape == (3, 3) and report.per_class["n"].tolist() == [only_a.num_examples, 0, 0]
    assert report.accuracy == 1 and len(report.mistakes()) == 0


def test_a_joined_model_is_evaluated_as_keras_does():
    model, split = tl.attach_head(small_backbone("resnet50"), 2), small_splits().val
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    batch = split.sized((32, 32), batch_size=4)
    assert tl.evaluate(model, batch).accuracy == pytest.approx(model.evaluate(batch, verbose=0)[1])
    assert np.allclose(predict(model, batch), model.predict(batch, verbose=0), atol=1e-5)


def test_an_empty_split(answers):
    model, split, _ = answers
    with pytest.raises(ValueError, match=r"a split needs pictures, .* Received: 0 pictures and 3 outputs\."):
        tl.evaluate(model, split.take([]))


def test_a_model_for_other_classes(answers):
    _, split, _ = answers
    x = keras.Input((4, 4, 3))
    other = keras.Model(x, keras.layers.Dense(2, "softmax")(keras.layers.Flatten()(x)))
    with pytest.raises(ValueError, match=r"an output for each of its 3 classes. Received: 60 pictures and 2 outputs\."):
        tl.evaluate(other, split)


def test_pictures_in_0_to_1_are_an_error():
    split = small_splits().val
    split.pictures = [p / 255 for p in split.pictures]
    with pytest.raises(ValueError, match=r"pictures must be in 0\.\.255"):
        tl.evaluate(tl.attach_head(small_backbone("vgg16"), 2), split)


def test_outputs_that_are_no_probabilities(answers):
    _, split, _ = answers
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.GlobalAveragePooling2D()])
    with pytest.raises(ValueError, match=r"must give probabilities that sum to 1 \(end it with a softmax\)"):
        tl.evaluate(model, split)
