"""Calibration: whether a model that is 90 % sure is right nine times of ten, and how to mend it."""

import math
from dataclasses import replace

import keras
import numpy as np
import pandas as pd

from tlteach._stages import sources, tensor_of
from tlteach.data import Split
from tlteach.evaluation import final_dense, measured_share, outputs_of


def calibration_table(report, *, bins=10):
    """Compare how sure a model is with how often it is right, in bins of equally many pictures.

    Confidence is the probability of the class that was predicted. Above the accuracy, the
    model is too sure of itself. With few pictures a bin's accuracy is a matter of luck:
    read the interval, and take fewer bins.

    Args:
        report: `Report`.
        bins: How many bins; fewer come back where many pictures have the same confidence.

    Returns:
        `pandas.DataFrame`, a row a bin, the least sure first: confidence (mean), accuracy, low, high (95 %
        interval of the accuracy), n (pictures), and groups if the report has them.

    Raises:
        ValueError: If there are no bins, or more than pictures.

    Example:
        >>> import tlteach as tl
        >>> pets, vgg = tl.load_dataset("cats_vs_dogs", "mini"), tl.load_backbone("vgg16", "mini")
        >>> report = tl.evaluate(tl.attach_head(vgg, 2), pets.val)
        >>> tl.calibration_table(report, bins=4)["n"].tolist()
        [50, 50, 50, 50]

    Reference:
        Niculescu-Mizil and Caruana 2005; Guo et al. 2017, On calibration of modern neural networks.
    """
    if not 1 <= bins <= report.n:
        raise ValueError(f"bins must be 1 to {report.n}, the number of pictures. Received: {bins}.")
    confidence = report.predictions["probability"].to_numpy("float64")
    right = (report.predictions["class"] == report.predictions["predicted"]).to_numpy()
    places = _places(confidence, bins)
    rows = []
    for place in np.unique(places):
        own = places == place
        rows.append({"confidence": confidence[own].mean(), **measured_share(report, right, own)})
    return pd.DataFrame(rows, index=pd.RangeIndex(len(rows), name="bin")).rename(columns={"value": "accuracy"})


def _places(confidence, bins):
    """The bin of each confidence, from 0; equal confidences stay in one bin."""
    return np.searchsorted(np.percentile(confidence, np.linspace(0, 100, bins + 1))[1:-1], confidence)


def expected_calibration_error(report, *, bins=10):
    """Return the mean gap between confidence and accuracy over the bins of `calibration_table`.

    It is above 0 for a perfectly calibrated model too, the more so the fewer pictures and the
    more bins there are: compare only numbers of as many pictures and bins.

    Args:
        report: `Report`.
        bins: How many bins.

    Returns:
        The error, 0 to 1.

    Raises:
        ValueError: If there are no bins, or more than pictures.

    Example:
        >>> import tlteach as tl
        >>> pets, vgg = tl.load_dataset("cats_vs_dogs", "mini"), tl.load_backbone("vgg16", "mini")
        >>> 0 <= tl.expected_calibration_error(tl.evaluate(tl.attach_head(vgg, 2), pets.val)) <= 1
        True

    Reference:
        Naeini, Cooper and Hauskrecht 2015; Guo et al. 2017.
    """
    table = calibration_table(report, bins=bins)
    return float(np.average((table["accuracy"] - table["confidence"]).abs(), weights=table["n"]))


def error_by_luck(report, *, bins=10, draws=500, seed=0):
    """Return the calibration error that a perfectly calibrated model would show on so many pictures, in the mean.

    Each picture is drawn right with the probability that the model gave: what error is left is
    luck. Pictures of one patient are right and wrong together, so there luck does somewhat more.

    Args:
        report: `Report`.
        bins: How many bins, as in `expected_calibration_error`.
        draws: How often to draw.
        seed: Seed of the drawing.

    Returns:
        The error, 0 to 1.
    """
    confidence, random = report.predictions["probability"].to_numpy("float64"), np.random.default_rng(seed)
    places = _places(confidence, bins)
    gaps = [np.bincount(places, (random.random(report.n) < confidence) - confidence) for _ in range(draws)]
    return float(np.abs(gaps).sum(1).mean() / report.n)


def temperature_of(report):
    """Return the temperature at which the log loss of a report's probabilities is least.

    It is that of `scale_temperature`, for probabilities of a model that is not at hand.

    Args:
        report: `Report` of the validation split.

    Raises:
        ValueError: If the report cannot tell the temperature, as in `best_temperature`.
    """
    return best_temperature(_logits(report), _labels(report))


def at_temperature(report, temperature):
    """Return the report as it would be if all logits were divided by a temperature.

    Args:
        report: `Report`.
        temperature: Above 0; above 1 makes less sure.
    """
    from scipy.special import softmax

    scaled = softmax(_logits(report) / temperature, axis=1)
    names = [f"p_{name}" for name in report.classes]
    told = report.predictions.assign(**dict(zip(names, scaled.T, strict=True)), probability=scaled.max(1))
    return replace(report, predictions=told)


def log_losses(report):
    """Return the log loss of each picture, `(n,)`: how much a model is surprised by the truth.

    Args:
        report: `Report`.
    """
    from scipy.special import log_softmax

    return -log_softmax(_logits(report), axis=1)[np.arange(report.n), _labels(report)]


def _logits(report):
    """Logarithms of the probabilities: the logits, but for a constant in each row; `(n, classes)`."""
    return np.log(np.maximum(report.predictions[[f"p_{n}" for n in report.classes]].to_numpy("float64"), 1e-38))


def _labels(report):
    return pd.Index(report.classes).get_indexer(report.predictions["class"])


def scale_temperature(model, split):
    """Make a copy of a model that is as sure as it may be: its logits divided by one temperature.

    The temperature minimises the log loss on the split. Which class is the likeliest stays the
    same, so accuracy does too. It mends a model that is too sure (or too unsure) everywhere alike;
    not one that is so for one class or one scanner alone, nor on pictures of another kind.

    Args:
        model: A `keras.Model` from pixels to probabilities that ends in a softmax `Dense` layer.
        split: Validation `Split`; never the one to be measured on.

    Returns:
        `(model, temperature)`: a new `keras.Model` that shares all layers but the last, whose
        weights are divided by the temperature. Above 1, the model was too sure.

    Raises:
        ValueError: If the model ends otherwise, or the split cannot tell the temperature.

    Side effects:
        None; the model that is given keeps its weights.

    Example:
        >>> import tlteach as tl
        >>> pets, vgg = tl.load_dataset("cats_vs_dogs", "mini"), tl.load_backbone("vgg16", "mini")
        >>> probe = tl.linear_probe(tl.extract_features(vgg, pets), strength=10.0)
        >>> model, temperature = tl.scale_temperature(tl.attach_head(vgg, probe), pets.val)
        >>> temperature > 1  # such a weak penalty makes a probe too sure
        True

    Reference:
        Platt 1999; Guo et al. 2017, On calibration of modern neural networks.
    """
    flat, dense = _softmax_dense(model)
    if not isinstance(split, Split) or not split.num_examples:
        raise ValueError(f"split must be one split with pictures, such as pets.val. Received: {split!r}.")
    before = sources(flat, dense)[0]
    inputs = outputs_of(flat, before, split).astype("float64")  # (n, features)
    weights = [np.asarray(w, "float64") for w in dense.get_weights()]
    temperature = best_temperature(inputs @ weights[0] + sum(weights[1:]), split.labels)
    copy = keras.layers.Dense.from_config(dense.get_config())
    scaled = keras.Model(flat.inputs[0], copy(tensor_of(flat, before)), name=flat.name)
    if hasattr(model, "tokenizer"):
        scaled.tokenizer = model.tokenizer
    copy.set_weights([w / temperature for w in weights])
    return scaled, temperature


def _softmax_dense(model):
    flat, dense = final_dense(model)
    activation = dense.get_config()["activation"]
    if activation != "softmax":
        raise ValueError(
            "the model must end in a Dense layer with a softmax. "
            f"Received: {dense.name!r} with the activation {activation!r}."
        )
    return flat, dense


def best_temperature(logits, labels):
    """Return the temperature at which the log loss of logits is least.

    Args:
        logits: Array `(n, classes)`.
        labels: Array `(n,)`, integers from 0.

    Raises:
        ValueError: If the loss has no least value: it falls for ever as the temperature goes to
            0 (no mistakes at all) or to infinity (no better than guessing).
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    rows = np.arange(len(labels))
    own = logits[rows, labels]
    if (own == logits.max(1)).all():
        raise ValueError(
            "a temperature is told by mistakes: without any, being ever surer would be best. "
            f"Received: {len(labels)} pictures, all classified rightly; use more or harder ones."
        )
    if own.mean() <= logits.mean():
        raise ValueError(
            "a temperature needs a model that knows something of the pictures. "
            f"Received: outputs on {len(labels)} pictures that are no better than guessing; check labels and model."
        )
    found = minimize_scalar(
        lambda place: -log_softmax(logits / math.exp(place), axis=1)[rows, labels].mean(),
        bounds=(math.log(1e-3), math.log(1e3)),
        method="bounded",
        options={"xatol": 1e-7},
    )
    return float(math.exp(found.x))
