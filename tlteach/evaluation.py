"""Evaluation: how good a model is on pictures it has not seen, and how sure one can be."""

from dataclasses import dataclass, field

import keras
import numpy as np
import pandas as pd

from tlteach._stages import entry_of, tensor_of
from tlteach.data import Split
from tlteach.features import activations, sized_for


@dataclass(frozen=True, eq=False)
class Report:
    """What `evaluate` measured.

    Attributes:
        accuracy: Share of pictures classified rightly, 0 to 1.
        accuracy_interval: `(low, high)`, 95 %: Wilson's, or over resampled groups where they are known.
        n: How many pictures.
        classes: Class names.
        confusion: `pandas.DataFrame`, a row a true class, a column a predicted one.
        per_class: `pandas.DataFrame`, a row a class: precision, recall, f1, n.
        predictions: `pandas.DataFrame`, a row a picture: path, class, predicted, its
            probability, the probability of each class (`p_cat`), and what else the split's
            table knows, such as patient or scanner.
        groups: Column of `predictions` whose groups are resampled as a whole, or `None`.
    """

    accuracy: float
    accuracy_interval: tuple
    n: int
    classes: list
    confusion: pd.DataFrame = field(repr=False)
    per_class: pd.DataFrame = field(repr=False)
    predictions: pd.DataFrame = field(repr=False)
    groups: str | None = None

    def mistakes(self):
        """Return the wrong predictions, the most confident first."""
        wrong = self.predictions[self.predictions["class"] != self.predictions["predicted"]]
        return wrong.sort_values("probability", ascending=False)


def evaluate(model, split, *, groups=None, resamples=2000, seed=0):
    """Measure a classifier on a split.

    Touch the test split with this once, at the end; choose with validation.
    Pictures that are not independent, such as the slices of one patient, need
    `groups`: else the interval is that of as many patients as there are
    slices, and far too narrow.

    Args:
        model: A `keras.Model` from pixels (or a text's word pieces) to probabilities `(batch, classes)`.
        split: `Split`.
        groups: Column of the split's table that says what belongs together, such as
            `"patient"`: intervals are then drawn over whole groups. With fewer than
            about forty groups they are still somewhat too narrow.
        resamples: Bootstrap resamples for the interval, where there are groups.
        seed: Seed of the bootstrap.

    Returns:
        `Report`.

    Raises:
        ValueError: If the split is empty, the classes do not fit the model, or the
            column of the groups is missing or has gaps.

    Example:
        >>> import tlteach as tl
        >>> pets = tl.load_dataset("cats_vs_dogs", "mini")
        >>> vgg = tl.load_backbone("vgg16", "mini")
        >>> tl.evaluate(tl.attach_head(vgg, 2), pets.val).n
        200

    Reference:
        Wilson 1927; Field and Welsh 2007, Bootstrapping clustered data.
    """
    if not isinstance(split, Split):
        raise ValueError(f"split must be one split, such as pets.test. Received: a {type(split).__name__}.")
    if groups is not None:
        check_column(split.table, groups)
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
    return report_of(predictions_of(split, probabilities), split.classes, groups=groups, resamples=resamples, seed=seed)


def check_column(table, column):
    """Raise unless a table has this column, with a value in every row.

    Args:
        table: `pandas.DataFrame`, a row a picture.
        column: Name of the column.
    """
    if column not in table:
        raise ValueError(f"the column must be one of {', '.join(map(str, table.columns))}. Received: {column!r}.")
    if table[column].isna().any():
        raise ValueError(
            f"every picture needs a value of {column!r}. "
            f"Received: {int(table[column].isna().sum())} of {len(table)} pictures without one."
        )


def report_of(predictions, classes, *, groups=None, resamples=2000, seed=0):
    """Count what a table of predictions says.

    Args:
        predictions: `pandas.DataFrame` as in `Report`.
        classes: Class names.
        groups, resamples, seed: As in `evaluate`.

    Returns:
        `Report`.
    """
    true, predicted = (pd.Index(classes).get_indexer(predictions[name]) for name in ("class", "predicted"))
    codes = None if groups is None else pd.factorize(predictions[groups])[0]
    return Report(
        accuracy=float((true == predicted).mean()),
        accuracy_interval=share_interval(true == predicted, codes, resamples=resamples, seed=seed),
        n=len(predictions),
        classes=list(classes),
        confusion=_confusion(true, predicted, classes),
        per_class=_per_class(true, predicted, classes),
        predictions=predictions,
        groups=groups,
    )


def predict(model, split):
    """Return class probabilities `(num_examples, classes)` of a split's pictures.

    Args:
        model: A `keras.Model` from pixels to probabilities.
        split: `Split`.
    """
    if entry_of(model):
        return activations(model, model.output._keras_history.operation.name, split, store=None)
    split = sized_for(model, split)
    batches = [np.asarray(model.predict_on_batch(split[i][0])) for i in range(len(split))]
    return np.concatenate(batches) if batches else np.zeros((0, len(split.classes)))


def outputs_of(model, name, split):
    """Return what one operation of a functional model gives for each picture, `(num_examples, ...)`.

    Args:
        model: A flat functional model.
        name: Name of the operation.
        split: `Split`.
    """
    if entry_of(model):
        return activations(model, name, split, store=None)
    part, split = keras.Model(model.inputs[0], tensor_of(model, name)), sized_for(model, split)
    return np.concatenate([np.asarray(part.predict_on_batch(split[i][0])) for i in range(len(split))])


def final_dense(model):
    """Return `(functional model, its last layer)`, which must be a `Dense`.

    Args:
        model: A functional or `Sequential` model with one input and one output.

    Raises:
        ValueError: If it ends in something else.
    """
    inputs, outputs = getattr(model, "inputs", None) or [], getattr(model, "outputs", None) or []
    if len(inputs) != 1 or len(outputs) != 1:
        raise ValueError(
            "the model must be a functional one with one input and one output, such as attach_head gives. "
            f"Received: {type(model).__name__} {getattr(model, 'name', '')!r}."
        )
    flat = model if hasattr(model, "operations") else keras.Model(inputs[0], outputs[0])
    last = outputs[0]._keras_history.operation
    if not isinstance(last, keras.layers.Dense):
        raise ValueError(
            "the model must end in one Dense layer. "
            f"Received: a model that ends in {type(last).__name__} {last.name!r}."
        )
    return flat, last


def wilson(hits, n):
    """Return the 95 % interval of a share of `n` independent trials; it has a width at 0 and 1 too.

    Args:
        hits: How many of them, 0 to `n`.
        n: How many trials, at least 1.

    Reference:
        Wilson 1927; Brown, Cai and DasGupta 2001, Interval estimation for a binomial proportion.
    """
    from scipy.stats import binomtest

    low, high = binomtest(int(hits), int(n)).proportion_ci(0.95, method="wilson")
    return float(low), float(high)


def resampled(codes, *, resamples=2000, seed=0):
    """Yield how often each row counts when its groups are drawn anew with replacement (Efron 1979).

    Args:
        codes: Group of each row, `(n,)`, integers from 0 without gaps.
        resamples: How often to draw.
        seed: Seed of the drawing.
    """
    random, count = np.random.default_rng(seed), codes.max() + 1
    for _ in range(resamples):
        yield random.multinomial(count, np.full(count, 1 / count))[codes]


def share_interval(hits, codes=None, *, resamples=2000, seed=0):
    """Return the 95 % interval `(low, high)` of the share of rows that are hits.

    Rows of one group are drawn together. Where every drawing gives the same share, as
    it does if all rows are hits, the bootstrap knows no doubt: then each group counts
    as one trial.

    Args:
        hits: Booleans `(n,)`.
        codes: Group of each row `(n,)`; every row by itself if `None`, without a bootstrap.
        resamples: Bootstrap resamples.
        seed: Seed of the bootstrap.
    """
    if not len(hits):
        return np.nan, np.nan
    if codes is None:
        return wilson(hits.sum(), len(hits))
    codes = np.unique(codes, return_inverse=True)[1]
    drawn = [np.average(hits, weights=times) for times in resampled(codes, resamples=resamples, seed=seed)]
    return interval_of_drawn(drawn, hits.mean(), codes.max() + 1)


def interval_of_drawn(drawn, share, trials):
    """Return the percentiles of what was drawn; if all is alike, Wilson's interval of so many trials.

    Args:
        drawn: Measures of the resamples, each 0 to 1.
        share: The measure itself.
        trials: How many independent trials there were.
    """
    low, high = np.percentile(drawn, [2.5, 97.5]) if len(drawn) else (share, share)
    if high - low < 1e-9:
        return wilson(round(share * trials), trials)
    return float(low), float(high)


def measured_share(report, hits, rows):
    """Return a share among some rows of a report, with its interval, as a row of a table.

    Args:
        report: `Report`.
        hits: Booleans `(report.n,)`.
        rows: Booleans `(report.n,)`: which of them count.

    Returns:
        Dict: value, low, high, n (pictures), and groups if the report knows them.
    """
    own = hits[rows]
    codes = None if report.groups is None else codes_of(report)[rows]
    low, high = share_interval(own, codes)
    found = {"value": own.mean() if len(own) else np.nan, "low": low, "high": high, "n": len(own)}
    return found if codes is None else found | {"groups": len(np.unique(codes))}


def codes_of(report):
    """Return the group of each picture as a number; without groups each is its own.

    Args:
        report: `Report`.
    """
    return np.arange(report.n) if report.groups is None else pd.factorize(report.predictions[report.groups])[0]


def _confusion(true, predicted, classes):
    from sklearn.metrics import confusion_matrix

    counts = confusion_matrix(true, predicted, labels=range(len(classes)))
    return pd.DataFrame(counts, index=pd.Index(classes, name="class"), columns=pd.Index(classes, name="predicted"))


def _per_class(true, predicted, classes):
    from sklearn.metrics import precision_recall_fscore_support

    measured = precision_recall_fscore_support(true, predicted, labels=range(len(classes)), zero_division=0)
    return pd.DataFrame(
        dict(zip(["precision", "recall", "f1", "n"], measured, strict=True)), index=pd.Index(classes, name="class")
    )


def predictions_of(split, probabilities):
    """Put the probabilities of a split's pictures beside what is known of each, as `Report.predictions`.

    Args:
        split: `Split`.
        probabilities: `(num_examples, classes)`.
    """
    names = np.array(split.classes)
    table = pd.DataFrame(
        {
            "path": split.table["path"] if "path" in split.table else range(split.num_examples),
            "class": names[split.labels],
            "predicted": names[probabilities.argmax(1)],
            "probability": probabilities.max(1),
        }
    )
    table = table.join(pd.DataFrame(probabilities, columns=split.classes).add_prefix("p_"))
    further = [name for name in split.table if name not in table and name not in ("label", "sha256", "look")]
    return table.join(split.table[further])
