"""What transfer gave: the three benefits, the labels and the time it saved, each with an interval."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

_COLUMNS = ["strategy", "source", "measure", "value", "low", "high", "bound", "seeds"]
_RUN = ["strategy", "source", "labels", "seed"]


class _Curves(NamedTuple):
    """Two strategies with the same seeds: accuracies and seconds, each `(seeds, labels)`."""

    labels: np.ndarray
    base: np.ndarray
    own: np.ndarray
    seconds: np.ndarray


class _Range(NamedTuple):
    """What is known of a number: a value has both ends equal; 'at least 16' is 16 to infinity."""

    low: float
    high: float


def benefits(table, *, baseline="scratch", accuracy=None, resamples=2000, seed=0):
    """Measure what each strategy gave that the baseline did not.

    All are read from the mean curves over the seeds, accuracy over the number of labels n, between the counts that
    were run. The `baseline` is one strategy; where it has several sources, each is compared with its own.

    - `start`: accuracy with the fewest labels, minus the baseline's.
    - `slope`: accuracy gained by each doubling of the labels (the straight line over log2 n that fits best), minus the
      baseline's. What begins near the top cannot climb: negative need not be bad, so read it beside the start.
    - `asymptote`: accuracy with the most labels, minus the baseline's: as far as these labels go.
    - `label saving`: the most labels, divided by the n with which the strategy first reaches what the baseline has
      with the most. 8: as good as scratch with 8 times the labels. (With `accuracy`, both are asked
      for the n with which they first reach that.) In between, the curve is taken to be straight over log n.
    - `time to accuracy`: seconds of a run with the n with which the strategy first reaches that accuracy, read off
      in the same way. The baseline has a row too.

    Torrey and Shavlik draw start, slope and asymptote over training time; here it is labels, which cost more.

    Where a curve is at the accuracy with the fewest labels already, or never gets there, the table
    says `"at least"` or `"at most"` and the interval is open at that side (infinite, or 0). Both at
    once, such as two curves that never reach it, is a gap.

    Args:
        table: `pandas.DataFrame` such as `compare` gives: strategy, source, labels, seed, accuracy, seconds.
        baseline: Name of the strategy to compare with.
        accuracy: Accuracy to reach, 0 to 1; what the baseline has with the most labels if `None`.
        resamples: Bootstrap resamples.
        seed: Seed of the bootstrap.

    Returns:
        `pandas.DataFrame`, a row a strategy, source and measure: value, low, high (95 %), bound (`""`, `"at least"`
        or `"at most"`), seeds (those that have every run; others are left out). The interval is drawn
        over seeds, the same for both, so it tells of other labels and other chance, not of other
        pictures to test on; with five seeds it is somewhat too narrow, with one there is none.

    Raises:
        ValueError: If the baseline is missing, there is a single number of labels, or no seed has every run.

    Example:
        >>> import pandas as pd, tlteach as tl
        >>> runs = [("scratch", 10, 0.5), ("scratch", 40, 0.6), ("frozen", 10, 0.6), ("frozen", 40, 0.7)]
        >>> table = pd.DataFrame(runs, columns=["strategy", "labels", "accuracy"])
        >>> found = tl.benefits(table.assign(source="none", seed=0, seconds=1.0))
        >>> found.loc[found["measure"] == "label saving", ["value", "bound"]].values.tolist()
        [[4.0, 'at least']]

    Reference:
        Torrey and Shavlik 2009, Transfer Learning.
    """
    _check(table, baseline)
    groups = table.groupby(["strategy", "source"], sort=False)
    bases = {source: rows for (name, source), rows in groups if name == baseline}
    found = []
    for (name, source), rows in groups:
        base = bases.get(source, next(iter(bases.values())) if len(bases) == 1 else None)
        if base is None:
            raise ValueError(f"the baseline must have every source, or one. Received: none of {source!r}.")
        curves = _curves(base, rows, f"{name!r} with source {source!r}")
        measures = ["time to accuracy"] if name == baseline else list(_MEASURES)
        for measure in measures:
            told = _measured(curves, measure, accuracy, resamples=resamples, seed=seed)
            found.append({"strategy": name, "source": source, "measure": measure, **told, "seeds": len(curves.own)})
    return pd.DataFrame(found, columns=_COLUMNS)


def gains(results, *, baseline="scratch", by="strategy", pair="seed", value="accuracy"):
    """Say how far each way is above or below a baseline, run by run, with an interval.

    Runs with one seed had the same labels to learn from, and these make much of the spread. The difference
    within a seed is free of it, so the interval is of the mean of these differences, not of the difference
    of two bands. It says how sure the *mean* is; look at `below` too.

    Args:
        results: `pandas.DataFrame`, a row a run, with columns `by`, `pair` and `value`.
        baseline: Value of `by` to compare with.
        by: Column that tells the ways apart.
        pair: Column whose value a run has in common with its baseline's run.
        value: Column that is compared; accuracy (0 to 1) gives differences of the same kind.

    Returns:
        `pandas.DataFrame`, a row a way but for the baseline, in the order of `results`: mean (of the differences),
        low, high (95 %, Student's t; gaps if there is one pair), below (in how many pairs it is below the
        baseline), pairs. A gain below zero with `high` below zero too is negative transfer.

    Raises:
        ValueError: If the baseline is missing, or a way lacks a pair or has it twice.

    Example:
        >>> import pandas as pd, tlteach as tl
        >>> runs = [("scratch", 0, 0.8), ("scratch", 1, 0.6), ("noise", 0, 0.7), ("noise", 1, 0.48)]
        >>> found = tl.gains(pd.DataFrame(runs, columns=["strategy", "seed", "accuracy"]))
        >>> found[["mean", "low", "high"]].round(2).values.tolist(), found["below"].tolist()
        ([[-0.11, -0.24, 0.02]], [2])

    Reference:
        Student 1908, The probable error of a mean; lesson 10.
    """
    names = list(dict.fromkeys(results[by]))
    if baseline not in names:
        raise ValueError(f"the baseline must be one of {', '.join(map(str, names))}. Received: {baseline!r}.")
    if results.duplicated([by, pair]).any():
        twice = results.loc[results.duplicated([by, pair]), by].iloc[0]
        raise ValueError(f"each {by} must have one run for each {pair}. Received: several of {twice!r}.")
    runs = results.pivot(index=pair, columns=by, values=value)
    lacking = [name for name in names if runs[name].isna().any()]
    if lacking:
        raise ValueError(f"each {by} must have one run for each {pair}. Received: {lacking[0]!r} without some.")
    differences = runs[[name for name in names if name != baseline]].sub(runs[baseline], axis=0)
    mean, count = differences.mean(), len(differences)
    reach = differences.sem() * (stats.t.ppf(0.975, count - 1) if count > 1 else np.nan)
    found = {"mean": mean, "low": mean - reach, "high": mean + reach, "below": (differences < 0).sum(), "pairs": count}
    return pd.DataFrame(found).rename_axis(index=by)


def _check(table, baseline):
    missing = [column for column in [*_RUN, "accuracy", "seconds"] if column not in table]
    if missing:
        raise ValueError(f"the table must be such as compare gives. Received: one without {', '.join(missing)}.")
    names = list(dict.fromkeys(table["strategy"]))
    if baseline not in names:
        raise ValueError(f"the baseline must be one of {', '.join(map(str, names))}. Received: {baseline!r}.")
    if table.duplicated(_RUN).any():
        raise ValueError(f"the table must have a row a run. Received: {int(table.duplicated(_RUN).sum())} rows more.")
    if table["labels"].nunique() < 2:
        raise ValueError("a curve needs at least two numbers of labels. Received: 1.")


def _curves(base, rows, name):
    """The runs of the seeds that have every number of labels that both were run with."""
    base, own, seconds = (
        part.pivot(index="seed", columns="labels", values=value)
        for part, value in ((base, "accuracy"), (rows, "accuracy"), (rows, "seconds"))
    )
    labels = base.columns.intersection(own.columns)
    whole = [part[labels].dropna() for part in (base, own, seconds)]
    seeds = whole[0].index.intersection(whole[1].index)
    if len(labels) < 2 or seeds.empty:
        raise ValueError(
            "a strategy must have two numbers of labels and a seed with all of them in common with the baseline. "
            f"Received: {len(labels)} and {len(seeds)} of {name}."
        )
    return _Curves(np.asarray(labels, float), *(part.loc[seeds].to_numpy(float) for part in whole))


def _measured(curves, measure, accuracy, *, resamples, seed):
    """One measure of the mean curves, and its interval over resampled seeds."""
    count, random = len(curves.own), np.random.default_rng(seed)
    value = _of_means(curves, measure, accuracy, np.arange(count))
    if count < 2:
        return {**_told(value), "low": np.nan, "high": np.nan}
    drawn = [_of_means(curves, measure, accuracy, random.integers(count, size=count)) for _ in range(resamples)]
    drawn = np.array([each for each in drawn if not _unknown(each)] or [(np.nan, np.nan)])
    # no interpolation: there is nothing between a number and infinity
    low = np.percentile(drawn[:, 0], 2.5, method="inverted_cdf")
    high = np.percentile(drawn[:, 1], 97.5, method="inverted_cdf")
    return {**_told(value), "low": float(low), "high": float(high)}


def _of_means(curves, measure, accuracy, rows):
    base, own, seconds = (part[rows].mean(0) for part in (curves.base, curves.own, curves.seconds))
    return _MEASURES[measure](_Curves(curves.labels, base, own, seconds), accuracy)


def _unknown(found):
    return found.low == 0 and found.high == np.inf


def _told(found):
    if found.low == found.high:
        return {"value": float(found.low), "bound": ""}
    if _unknown(found):
        return {"value": np.nan, "bound": ""}
    if found.high == np.inf:
        return {"value": float(found.low), "bound": "at least"}
    return {"value": float(found.high), "bound": "at most"}


def _exactly(value):
    return _Range(value, value)


def _start(means, accuracy):
    return _exactly(means.own[0] - means.base[0])


def _asymptote(means, accuracy):
    return _exactly(means.own[-1] - means.base[-1])


def _slope(means, accuracy):
    doublings = np.log2(means.labels) - np.log2(means.labels).mean()
    return _exactly(doublings @ (means.own - means.base) / (doublings @ doublings))


def _label_saving(means, accuracy):
    most = means.labels[-1]
    own = _first(means.own, _goal(means, accuracy), means.labels, means.labels)
    base = _exactly(most) if accuracy is None else _first(means.base, accuracy, means.labels, means.labels)
    return _Range(base.low / own.high, base.high / own.low if own.low else np.inf)


def _time(means, accuracy):
    return _first(means.own, _goal(means, accuracy), means.labels, means.seconds)


def _goal(means, accuracy):
    return means.base[-1] if accuracy is None else accuracy


def _first(curve, goal, labels, values):
    """Where a curve first reaches a goal, in what `values` are at the numbers of labels."""
    reached = np.flatnonzero(curve >= goal - 1e-12)  # a rounding below is there
    if not len(reached):
        return _Range(values[-1], np.inf)
    i = reached[0]
    if i == 0:
        return _Range(0.0, values[0])
    share = min((goal - curve[i - 1]) / (curve[i] - curve[i - 1]), 1.0)
    if values is labels:  # between counts of labels as their logarithms, as the curve is drawn
        return _exactly(float(labels[i - 1] * (labels[i] / labels[i - 1]) ** share))
    return _exactly(float(values[i - 1] + share * (values[i] - values[i - 1])))


_MEASURES = {
    "start": _start,
    "slope": _slope,
    "asymptote": _asymptote,
    "label saving": _label_saving,
    "time to accuracy": _time,
}
