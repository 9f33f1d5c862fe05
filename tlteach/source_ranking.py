"""Ranking: which of the available sources to take for a target, and how far scores can be trusted to tell."""

import numpy as np
from tqdm import tqdm

from tlteach._named import load_named
from tlteach.features import extract_features
from tlteach.heads import linear_probe
from tlteach.transferability import SCORES, leep, nce

_FOLDS = 5


def rank_sources(sources, splits, *, scores=("shrunk_h_score", "log_me"), probabilities=None, seed=0):
    """Score sources for a target, without training any of them.

    Each backbone is run once over the labelled pictures (training and validation; the test split is not
    touched), and its pooled features are kept. None of the scores is always right: `rank_agreement` tells how
    far they agree with what fine-tuning gave.

    Args:
        sources: List of names of backbones, keyword arguments of `load_backbone`, or `Backbone` objects; or a dict
            from a name of your own to one of these.
        splits: `Splits` of the target, such as from `subset`.
        scores: Names of scores: `"h_score"`, `"shrunk_h_score"`, `"log_me"`.
        probabilities: Dict from a source's name to what its own classifier says of the training pictures and
            then the validation pictures, `(n, source classes)`: adds columns `leep` and `nce` (by the likeliest
            class); sources without have gaps.
        seed: Seed of the folds.

    Returns:
        `pandas.DataFrame`, a row a source, best probe first: source, features (how many), a column for each
        score, and `probe_accuracy`: the share that linear probes get right in five folds, which divide no
        group, such as a patient, where the splits have groups. The scores have no folds: with many pictures of
        each patient they also reward features by which a patient is known again.

    Raises:
        ValueError: If a score is unknown, two sources have one name, or probabilities do not fit.

    Example:
        >>> import tlteach as tl
        >>> few = tl.subset(tl.load_dataset("cats_vs_dogs", "mini"), 80)
        >>> table = tl.rank_sources([{"name": "vgg16", "size": "mini"}], few)
        >>> table.columns.tolist()
        ['source', 'features', 'shrunk_h_score', 'log_me', 'probe_accuracy']

    Reference:
        Bolya et al. 2021, Scalable Diverse Model Selection for Accessible Transfer Learning.
    """
    import pandas as pd

    unknown = [name for name in scores if name not in SCORES]
    if unknown:
        raise ValueError(f"a score must be one of {', '.join(SCORES)}. Received: {unknown[0]!r}.")
    labels = np.concatenate([splits.train.labels, splits.val.labels])
    rows = []
    for name, backbone in tqdm(load_named(sources).items(), desc="rank sources", unit="source", delay=2, leave=False):
        x = np.concatenate([extract_features(backbone, part) for part in (splits.train, splits.val)])
        row = {"source": name, "features": x.shape[1]} | {score: SCORES[score](x, labels) for score in scores}
        if probabilities is not None:
            row |= _by_classes(probabilities.get(name), labels)
        rows.append(row | {"probe_accuracy": _probe_accuracy(x, labels, _groups_of(splits), seed=seed)})
    return pd.DataFrame(rows).sort_values("probe_accuracy", ascending=False, ignore_index=True)


def _by_classes(probabilities, labels):
    if probabilities is None:
        return {"leep": np.nan, "nce": np.nan}
    return {"leep": leep(probabilities, labels), "nce": nce(np.argmax(probabilities, 1), labels)}


def _groups_of(splits):
    """What a fold must not divide, `(n,)`, such as patients; or `None`."""
    if splits.groups is None:
        return None
    return np.concatenate([part.table[splits.groups].to_numpy() for part in (splits.train, splits.val)])


def _probe_accuracy(x, y, groups, *, seed):
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    units = np.arange(len(y)) if groups is None else groups
    folds = min(_FOLDS, *(len(np.unique(units[y == label])) for label in np.unique(y)))
    if folds < 2:
        return np.nan
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    hits = 0
    for learn, held in kind(folds, shuffle=True, random_state=seed).split(x, y, groups):
        probe = linear_probe((x[learn], y[learn]), seed=seed)
        hits += int((np.asarray(probe.predict_on_batch(x[held])).argmax(1) == y[held]).sum())
    return hits / len(y)


def rank_agreement(table, truth, *, scores=None, resamples=2000, seed=0):
    """Tell how far scores rank sources as fine-tuning does: Kendall's weighted tau.

    1 is the same order, -1 the reverse, about 0 chance; mistakes at the top count more. The interval is drawn
    over sources, and over seeds where the truth has them. With a handful of sources it is nearly as wide as it
    can be, and that is the finding.

    Args:
        table: `pandas.DataFrame` from `rank_sources`.
        truth: Accuracy of each source, a `pandas.Series` or dict by its name; or a table such as `compare` gives,
            of one strategy and label count, with columns source, seed and accuracy.
        scores: Columns of `table`; every one that is a score if `None`.
        resamples: Bootstrap resamples.
        seed: Seed of the bootstrap.

    Returns:
        `pandas.DataFrame`, a row a score: score, tau, low, high (95 %), sources (how many). Resamples
        in which all scores or all accuracies are equal have no order and are left out.

    Raises:
        ValueError: If fewer than three sources have both, or a run is missing.

    Example:
        >>> import pandas as pd, tlteach as tl
        >>> table = pd.DataFrame({"source": ["a", "b", "c"], "log_me": [0.1, 0.2, 0.3]})
        >>> float(tl.rank_agreement(table, {"a": 0.7, "b": 0.8, "c": 0.9})["tau"][0])
        1.0

    Reference:
        Vigna 2015, A Weighted Correlation Index for Rankings with Ties; You et al. 2021.
    """
    import pandas as pd

    known = [name for name in table if name in {*SCORES, "leep", "nce", "probe_accuracy"}]
    runs = _runs(truth)  # a row a source, a column a seed
    rows = []
    for score in known if scores is None else scores:
        values = table.set_index("source")[score].dropna()
        both = values.index.intersection(runs.index)
        if len(both) < 3:
            raise ValueError(f"an order needs at least three sources with score and accuracy. Received: {len(both)}.")
        pair = values[both].to_numpy(), runs.loc[both].to_numpy()
        low, high = _tau_interval(*pair, resamples=resamples, seed=seed)
        row = {"score": score, "tau": _tau(pair[0], pair[1].mean(1)), "low": low, "high": high, "sources": len(both)}
        rows.append(row)
    return pd.DataFrame(rows)


def _runs(truth):
    import pandas as pd

    if not isinstance(truth, pd.DataFrame):
        return pd.Series(truth, dtype=float).to_frame()
    if truth.duplicated(["source", "seed"]).any():
        raise ValueError(
            "the truth must be of one strategy and label count, a row for each source and seed. "
            f"Received: {int(truth.duplicated(['source', 'seed']).sum())} rows more; select some first."
        )
    runs = truth.pivot(index="source", columns="seed", values="accuracy")
    if runs.isna().any(axis=None):
        raise ValueError(f"every source needs every seed. Received: {int(runs.isna().sum().sum())} runs too few.")
    return runs


def _tau(score, accuracy):
    from scipy.stats import weightedtau

    if np.ptp(score) == 0 or np.ptp(accuracy) == 0:
        return np.nan
    return float(weightedtau(score, accuracy).statistic)


def _tau_interval(score, runs, *, resamples, seed):
    random, (sources, seeds) = np.random.default_rng(seed), runs.shape
    drawn = []
    for _ in range(resamples):
        rows, columns = random.integers(sources, size=sources), random.integers(seeds, size=seeds)
        drawn.append(_tau(score[rows], runs[np.ix_(rows, columns)].mean(1)))
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return float(low), float(high)
