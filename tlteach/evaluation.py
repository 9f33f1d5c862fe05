"""Evaluation: how good a model is on pictures it has not seen, and how sure one can be."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from tlteach._stages import operations_of
from tlteach.data import Split
from tlteach.features import RESIZE, activations, sized_for


@dataclass(frozen=True, eq=False)
class Report:
    """What `evaluate` measured.

    Attributes:
        accuracy: Share of pictures classified rightly, 0 to 1.
        accuracy_interval: `(low, high)`, 95 % bootstrap interval over the pictures.
        n: How many pictures.
        classes: Class names.
        confusion: `pandas.DataFrame`, a row a true class, a column a predicted one.
        per_class: `pandas.DataFrame`, a row a class: precision, recall, f1, n.
        predictions: `pandas.DataFrame`, a row a picture: path, class, predicted, its
            probability, and the probability of each class.
    """

    accuracy: float
    accuracy_interval: tuple
    n: int
    classes: list
    confusion: pd.DataFrame = field(repr=False)
    per_class: pd.DataFrame = field(repr=False)
    predictions: pd.DataFrame = field(repr=False)

    def mistakes(self):
        """Return the wrong predictions, the most confident first."""
        wrong = self.predictions[self.predictions["class"] != self.predictions["predicted"]]
        return wrong.sort_values("probability", ascending=False)


def evaluate(model, split, *, resamples=2000, seed=0):
    """Measure a classifier on a split.

    Touch the test split with this once, at the end; choose with validation.

    Args:
        model: A `keras.Model` from pixels to probabilities `(batch, classes)`.
        split: `Split`.
        resamples: Bootstrap resamples for the interval.
        seed: Seed of the bootstrap.

    Returns:
        `Report`.

    Raises:
        ValueError: If the split is empty or the classes do not fit the model.

    Example:
        >>> import tlteach as tl
        >>> pets = tl.load_dataset("cats_vs_dogs", "mini")
        >>> vgg = tl.load_backbone("vgg16", "mini")
        >>> tl.evaluate(tl.attach_head(vgg, 2), pets.val).n
        200
    """
    if not isinstance(split, Split):
        raise ValueError(f"split must be one split, such as pets.test. Received: a {type(split).__name__}.")
    probabilities = predict(model, split)
    if not len(probabilities) or probabilities.shape[1] != len(split.classes):
        raise ValueError(
            f"a split needs pictures, and the model an output for each of its {len(split.classes)} classes. "
            f"Received: {probabilities.shape[0]} pictures and {probabilities.shape[1]} outputs."
        )
    if not np.allclose(probabilities.sum(1), 1, atol=1e-3):
        raise ValueError(
            "the model must give probabilities that sum to 1 (end it with a softmax). "
            f"Received: outputs that sum to {probabilities.sum(1).min():.3g} to {probabilities.sum(1).max():.3g}."
        )
    predicted = probabilities.argmax(1)
    right = predicted == split.labels
    return Report(
        accuracy=float(right.mean()),
        accuracy_interval=_bootstrap(right, resamples, seed),
        n=len(right),
        classes=split.classes,
        confusion=_confusion(split, predicted),
        per_class=_per_class(split, predicted),
        predictions=_predictions(split, probabilities),
    )


def predict(model, split):
    """Return class probabilities `(num_examples, classes)` of a split's pictures.

    Args:
        model: A `keras.Model` from pixels to probabilities.
        split: `Split`.
    """
    operations = [op.name for op in operations_of(model)]
    if RESIZE in operations:
        return activations(model, model.output._keras_history.operation.name, split, store=None)
    split = sized_for(model, split)
    batches = [np.asarray(model.predict_on_batch(split[i][0])) for i in range(len(split))]
    return np.concatenate(batches) if batches else np.zeros((0, len(split.classes)))


def _bootstrap(right, resamples, seed):
    """Percentiles of the accuracy over resampled pictures (Efron 1979)."""
    drawn = np.random.default_rng(seed).binomial(len(right), right.mean(), resamples) / len(right)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def _confusion(split, predicted):
    from sklearn.metrics import confusion_matrix

    counts = confusion_matrix(split.labels, predicted, labels=range(len(split.classes)))
    index = pd.Index(split.classes, name="class")
    return pd.DataFrame(counts, index=index, columns=pd.Index(split.classes, name="predicted"))


def _per_class(split, predicted):
    from sklearn.metrics import precision_recall_fscore_support

    measured = precision_recall_fscore_support(
        split.labels, predicted, labels=range(len(split.classes)), zero_division=0
    )
    return pd.DataFrame(
        dict(zip(["precision", "recall", "f1", "n"], measured, strict=True)),
        index=pd.Index(split.classes, name="class"),
    )


def _predictions(split, probabilities):
    names = np.array(split.classes)
    table = pd.DataFrame(
        {
            "path": split.table["path"] if "path" in split.table else range(split.num_examples),
            "class": names[split.labels],
            "predicted": names[probabilities.argmax(1)],
            "probability": probabilities.max(1),
        }
    )
    return table.join(pd.DataFrame(probabilities, columns=split.classes).add_prefix("p_"))
