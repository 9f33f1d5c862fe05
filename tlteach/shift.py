"""Domain shift: whether two sets of pictures differ, by how much, and in what."""

import numpy as np
import pandas as pd

from tlteach._domains import unlabelled
from tlteach.features import extract_features

_FOLDS = 5
_MOST = 1500  # rows of a domain for the maximum mean discrepancy: its matrix is square


def domain_shift(a, b, *, groups=None, backbone=None, resamples=200, seed=0):
    """Ask in two ways whether two domains differ: can they be told apart, and are their means of many kinds apart.

    A classifier of the domains, scored on rows it has not seen, has an AUC of 0.5 if the domains are
    alike and 1 if every row gives itself away. The maximum mean discrepancy (MMD) is 0 in the mean if they are
    alike. Both tell that something differs, not that it matters: a shift in what the classes do not
    depend on costs no accuracy, and other class frequencies are a shift too.

    Args:
        a: Features `(n, features)` of one domain; a `Split`, or pictures, with `backbone`.
        b: The same of the other.
        groups: `(groups of a, groups of b)`, a name for each row, such as its patient: whole groups are then
            held out, resampled and permuted. Without, slices of one patient make any two domains differ.
        backbone: `Backbone` through which to look at the pictures.
        resamples: Bootstrap resamples of the interval, and permutations.
        seed: Seed of folds, resamples and permutations.

    Returns:
        `pandas.Series`: auc, low, high (95 % interval of the AUC), mmd (squared, unbiased, so it may be
        below 0), p_value (of the MMD, by permutation), bandwidth (median distance), n_a and n_b.

    Raises:
        ValueError: If a domain has fewer than two rows or groups, or the features are others.

    Example:
        >>> import numpy as np, tlteach as tl
        >>> x = np.random.default_rng(0).normal(size=(100, 3))
        >>> found = tl.domain_shift(x[:50], x[50:] + 2)
        >>> bool(found["auc"] > 0.9), bool(found["p_value"] < 0.05)
        (True, True)

    Reference:
        Ben-David et al. 2010, A theory of learning from different domains; Gretton et al. 2012, A kernel two-sample
        test; Lipton, Wang and Smola 2018; lesson 11.
    """
    if backbone is not None:
        a, b = (extract_features(backbone, part) for part in (a, b))
    a = unlabelled(a)
    b = unlabelled(b, like=a)
    random = np.random.default_rng(seed)
    units = _units(a, b, groups)
    domain = np.repeat([0, 1], [len(a), len(b)])
    auc, low, high = _auc(np.vstack([a, b]), domain, units, resamples=resamples, random=random)
    mmd, p, bandwidth = _mmd_test(a, b, units, permutations=resamples, random=random)
    found = {"auc": auc, "low": low, "high": high, "mmd": mmd, "p_value": p, "bandwidth": bandwidth}
    return pd.Series({**found, "n_a": len(a), "n_b": len(b)}, name="domain shift")


def feature_shift(a, b):
    """Compare two domains feature by feature, the most different first.

    Args:
        a: Features `(n, features)` of one domain.
        b: The same of the other.

    Returns:
        `pandas.DataFrame`, a row a feature: difference (b's mean less a's, in units of the deviation within
        the domains) and ratio (b's deviation over a's).

    Raises:
        ValueError: If a domain has fewer than two rows, or the features are others.

    Example:
        >>> import numpy as np, tlteach as tl
        >>> a = np.array([[0.0, 0], [2, 2]])
        >>> float(tl.feature_shift(a, a + [0, 1])["difference"].iloc[0].round(3))
        0.707
    """
    a = unlabelled(a)
    b = unlabelled(b, like=a)
    apart, one, other = b.mean(0) - a.mean(0), a.var(0, ddof=1), b.var(0, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = np.where(apart == 0, 0.0, apart / np.sqrt((one + other) / 2))
        ratio = np.where(one == other, 1.0, np.sqrt(other / one))
    table = pd.DataFrame({"difference": difference, "ratio": ratio}).rename_axis("feature")
    return table.sort_values("difference", key=np.abs, ascending=False, kind="stable")


def _units(a, b, groups):
    """Number what is held out as a whole: rows, or groups; no group is in both domains."""
    if groups is None:
        return np.arange(len(a) + len(b))
    if len(groups) != 2 or [len(groups[0]), len(groups[1])] != [len(a), len(b)]:
        raise ValueError(f"groups must be a pair, with a name for each of {len(a)} and {len(b)} rows.")
    named = [(side, name) for side, names in enumerate(groups) for name in names]
    return pd.factorize(pd.MultiIndex.from_tuples(named))[0]


def _auc(x, domain, units, *, resamples, random):
    """Area under the ROC curve of a domain classifier on rows it has not learned from, and its 95 % interval."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    side = pd.Series(domain).groupby(units).first()
    folds = min(_FOLDS, side.value_counts().min())
    if folds < 2:
        raise ValueError("each domain needs two groups or more, to hold some out. Received: one with a single group.")
    split = StratifiedGroupKFold(folds, shuffle=True, random_state=int(random.integers(2**31)))
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    scores = cross_val_predict(classifier, x, domain, groups=units, cv=split, method="decision_function")
    rows = pd.Series(np.arange(len(x))).groupby(units).apply(np.asarray).to_numpy()
    drawn = []
    for _ in range(resamples):
        picked = [random.choice(np.flatnonzero(side == s), (side == s).sum()) for s in (0, 1)]
        picked = np.concatenate(rows[np.concatenate(picked)])
        drawn.append(_area(domain[picked], scores[picked]))
    return _area(domain, scores), *map(float, np.percentile(drawn, [2.5, 97.5]))


def _area(domain, scores):
    """The share of pairs of which the row of the second domain scores higher; a tie is half a pair."""
    from scipy.stats import rankdata

    m, n = np.bincount(domain)
    return float((rankdata(scores)[domain == 1].sum() - n * (n + 1) / 2) / (m * n))


def _mmd_test(a, b, units, *, permutations, random):
    """Squared MMD, its p-value over permuted domains, and the bandwidth."""
    kept = [np.sort(random.permutation(len(part))[:_MOST]) for part in (a, b)]
    units = units[np.concatenate([kept[0], len(a) + kept[1]])]
    kernel, bandwidth = _kernel(np.vstack([a[kept[0]], b[kept[1]]]))
    first = np.repeat([1.0, 0.0], [len(kept[0]), len(kept[1])])
    places = np.unique(units, return_inverse=True)[1]
    sides = pd.Series(first).groupby(places).first().to_numpy()
    permuted = np.stack([random.permutation(sides)[places] for _ in range(permutations)], axis=1)
    found = mmd_of(kernel, np.column_stack([first, permuted]))
    return float(found[0]), float((1 + np.sum(found[1:] >= found[0])) / (1 + permutations)), bandwidth


def _kernel(x):
    """Gaussian kernel of all pairs of rows, with 0 for a row and itself; its width is the median distance."""
    from scipy.spatial.distance import pdist, squareform

    distances = pdist(x, "sqeuclidean")
    bandwidth = float(np.sqrt(np.median(distances))) or 1.0
    return squareform(np.exp(-distances / (2 * bandwidth**2))), bandwidth


def mmd_of(kernel, first):
    """Return the unbiased squared MMD between some rows and all others, for several choices of rows at once.

    Args:
        kernel: Array `(n, n)` with zeros on the diagonal.
        first: Array `(n, choices)`: 1 where a row belongs to the first domain, 0 elsewhere.
    """
    other = 1 - first
    m, n = first.sum(0), other.sum(0)
    to_first = kernel @ first
    within, across = (first * to_first).sum(0), (other * to_first).sum(0)
    beyond = (other * (kernel @ other)).sum(0)
    return within / (m * (m - 1)) + beyond / (n * (n - 1)) - 2 * across / (m * n)
