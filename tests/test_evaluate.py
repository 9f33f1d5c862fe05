"""Evaluation: the numbers are scikit-learn's, and the interval covers what it says."""

import keras
import numpy as np
import pytest
from conftest import drawn, small_backbone, small_splits
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

import tlteach as tl
from tlteach.evaluation import final_dense, outputs_of, predict, share_interval
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
        low, high = share_interval(random.random(200) < 0.8)
        covered.append(low <= 0.8 <= high)
    assert 0.90 < np.mean(covered) < 0.99


def test_the_interval_narrows_with_pictures(report):
    low, high = report.accuracy_interval
    assert low < report.accuracy < high
    few, many = (np.arange(n) % 10 < 8 for n in (50, 5000))
    assert np.diff(share_interval(many)) < np.diff(share_interval(few)) / 5


@pytest.mark.parametrize("right", [True, False])
def test_all_or_nothing_right_is_not_certain(right):
    low, high = share_interval(np.full(30, right))
    doubt = 1.959964**2 / (30 + 1.959964**2)  # Wilson's formula where all are right
    assert (low, high) == pytest.approx((1 - doubt, 1) if right else (0, doubt))
    patients = np.repeat(np.arange(5), 6)  # five patients are five trials, however many slices they have
    doubt = 1.959964**2 / (5 + 1.959964**2)
    assert share_interval(np.full(30, right), patients) == pytest.approx((1 - doubt, 1) if right else (0, doubt))
    assert np.isnan(share_interval(np.zeros(0, bool))).all()


def slices(random, patients, each):
    """Slices of patients some of whom are harder than others; rightly classified 8 times of 10 in the mean."""
    return (random.random((patients, each)) < random.beta(1.6, 0.4, (patients, 1))).ravel()


def test_with_patients_the_interval_covers_what_the_plain_one_does_not():
    random, patients, covered = np.random.default_rng(0), np.repeat(np.arange(40), 10), []
    for _ in range(150):
        right = slices(random, 40, 10)
        intervals = share_interval(right), share_interval(right, patients, resamples=300)
        covered.append([low <= 0.8 <= high for low, high in intervals])
    plain, by_patient = np.mean(covered, axis=0)
    assert plain < 0.8 and 0.88 < by_patient < 0.99


def test_copies_of_a_picture_in_one_group_make_nothing_surer():
    right, groups = np.arange(40) % 5 > 0, np.arange(40)
    once = share_interval(right, groups)
    assert share_interval(right.repeat(7), groups.repeat(7)) == pytest.approx(once)
    assert once == pytest.approx(share_interval(right), abs=0.04)


def with_columns(split, **columns):
    split = split.take(range(split.num_examples))
    split.table = split.table.assign(**columns)
    return split


def test_groups_are_resampled_with_a_seed(answers, report):
    model, split, _ = answers
    split = with_columns(split, patient=np.arange(60) // 6)
    few = {"groups": "patient", "resamples": 40}
    grouped = tl.evaluate(model, split, seed=1, **few)
    assert grouped.groups == "patient" and report.groups is None and grouped.accuracy == report.accuracy
    low, high = grouped.accuracy_interval
    assert low < grouped.accuracy < high and grouped.accuracy_interval != report.accuracy_interval
    assert tl.evaluate(model, split, seed=1, **few).accuracy_interval == grouped.accuracy_interval
    assert tl.evaluate(model, split, seed=2, **few).accuracy_interval != grouped.accuracy_interval


def test_predictions_carry_what_the_split_knows(answers, report):
    model, split, _ = answers
    split = with_columns(split, patient=np.arange(60), look=0, path=[f"{i}.png" for i in range(60)], probability=-1.0)
    table = tl.evaluate(model, split).predictions
    assert table.columns.tolist() == [*report.predictions.columns, "patient"]
    assert table["patient"].tolist() == list(range(60)) and table["path"][7] == "7.png"
    assert table["probability"].min() > 0  # the report's own words come first


def test_a_column_of_groups_that_is_missing_or_has_gaps(answers):
    model, split, _ = answers
    with pytest.raises(ValueError, match=r"the column must be one of label, sha256\. Received: 'patient'\."):
        tl.evaluate(model, split, groups="patient")
    holes = with_columns(split, patient=[None, *range(59)])
    with pytest.raises(ValueError, match=r"every picture needs a value of 'patient'\. Received: 1 of 60 pictures"):
        tl.evaluate(model, holes, groups="patient")


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


@pytest.mark.parametrize("sequential", [False, True])
def test_what_goes_into_the_last_layer(sequential):
    layers = [keras.Input((4, 4, 3)), keras.layers.Flatten(name="flat"), keras.layers.Dense(3, "softmax")]
    model = keras.Sequential(layers)
    model = model if sequential else keras.Model(model.inputs[0], model.outputs[0])
    flat, dense = final_dense(model)
    split = split_of_array(np.stack([drawn(i, (4, 4)) for i in range(40)]))
    inputs = outputs_of(flat, "flat", split)
    assert dense is layers[-1] and np.array_equal(inputs, split.array().reshape(40, -1))


def test_models_without_one_last_dense_layer():
    x = keras.Input((4, 4, 3))
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    with pytest.raises(ValueError, match=r"must end in one Dense layer.*ends in GlobalAveragePooling2D 'pool'\."):
        final_dense(keras.Model(x, pooled))
    with pytest.raises(
        ValueError, match=r"a functional one with one input and one output.*Received: Functional 'two'\."
    ):
        final_dense(keras.Model(x, [pooled, x], name="two"))
    with pytest.raises(ValueError, match=r"a functional one with one input.*Received: Sequential 'empty'\."):
        final_dense(keras.Sequential(name="empty"))
