"""Multinomial logistic regression, solved: L-BFGS in a space where the loss is nearly round.

The loss curves by X' D X + penalty, with D how unsure the model is of each row.
D is replaced by its mean: X'X is computed once, and every solve divides it out.
So a solve takes some ten or twenty passes over the rows, correlated features or not.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

STRENGTHS = 10.0 ** np.arange(-5, 2)  # inverse L2 strengths tried, for standardised features
MANY = 2500  # rows from which on one held-out part chooses about as well as folds
LARGE = 2**23  # values from which on float32 is used: the loss within a thousandth of the least, far sooner
_FOLDS = 5
_HELD_OUT = 0.2
NEAR = {"tol": 1e-5, "gap": 1e-4}  # with float32: what is left is rounding and time
_ROUNDS = (8, 16, 32, 64, 5000)  # steps before the space is made anew, for what the model has become
_WORTH = 5e-3  # by how much the mean log loss must fall for a weaker penalty to be looked at
_ROUGH = 1.25  # times the least loss of the folds, from which on weaker penalties are not looked at
_BLOCK = 512  # rows that stay in a core's cache while they are used twice
_ENOUGH = 3  # rows a feature whose covariance makes the space: more cost more than they save


class Rows:
    """Standardised rows and labels to solve for.

    Args:
        x: Array `(n, features)`, float64, or float32 where speed counts more than the seventh digit.
        truth: One-hot labels `(n, classes)`, of the same type; each row times its weight.
        covariance: X'X / n, also of other rows of that kind; computed from `x` if `None`.
        pool: Threads that share the rows; none if `None`.
    """

    def __init__(self, x, truth, *, covariance=None, pool=None):
        self.x, self.truth, self.pool = x, truth, pool
        some = x[: _ENOUGH * x.shape[1]] if x.dtype == "float32" else x
        self.covariance = some.T @ some / len(some) if covariance is None else covariance

    def take(self, rows):
        """Return some of the rows; a slice is not copied."""
        return Rows(self.x[rows], self.truth[rows], covariance=self.covariance, pool=self.pool)

    def in_float32(self):
        """Return the same rows, for what need not be exact."""
        x, truth, covariance = (a.astype("float32", copy=False) for a in (self.x, self.truth, self.covariance))
        return Rows(x, truth, covariance=covariance, pool=self.pool)

    def look(self, weights, *, slope=True):
        """Return sums over the rows: log loss, `p (1 - p)` of the classes, and, if wanted, the loss's slope."""
        weights = weights.astype(self.x.dtype)
        blocks = [slice(i, i + _BLOCK) for i in range(0, len(self.x), _BLOCK)]
        run = self.pool.map if self.pool and len(blocks) > 1 else map
        found = run(lambda rows: _look(self.x[rows], self.truth[rows], weights, slope), blocks)
        return [sum(part) for part in zip(*found, strict=True)]


def _look(x, truth, weights, slope):
    logits = x @ weights[:-1] + weights[-1]
    logits -= logits.max(1, keepdims=True)
    right, own = np.sum(logits * truth, dtype="float64"), truth.sum(1, keepdims=True)  # own: the rows' weights
    p = np.exp(logits, out=logits)
    total = p.sum(1, keepdims=True)
    p /= total
    loss, unsure = np.sum(own * np.log(total), dtype="float64") - right, float(np.sum(own * p * (1 - p)))
    p *= own
    p -= truth
    return loss, unsure, np.vstack([x.T @ p, p.sum(0)]).astype("float64") if slope else 0.0


def fit(x, y, *, strength=None, seed=0, weights=None):
    """Solve for the strength that is given, or for the one that predicts best what was held out.

    Args:
        x: Array `(n, features)`, standardised; if there are `MANY`, in the order of `shuffled`.
        y: Labels `(n,)`, every one of 0 to the largest present.
        strength: Inverse L2 strength as scikit-learn counts it (half for two classes); chosen if `None`.
        seed: Seed of the folds.
        weights: How much each row counts `(n,)`, 1 in the mean; all alike if `None`.

    Returns:
        Weights `(features + 1, classes)`, float64; the last row is the bias.
    """
    from threadpoolctl import threadpool_limits

    truth = np.eye(y.max() + 1, dtype=x.dtype)[y]
    if weights is not None:
        truth *= weights[:, None].astype(x.dtype)
    rows, start = Rows(x, truth), None
    # products with few columns gain nothing from the threads of NumPy and SciPy, which then wait in a busy loop
    with ThreadPoolExecutor(os.cpu_count()) as rows.pool, threadpool_limits(1, user_api="blas"):
        if strength is None:
            strength, start = _choose(rows, y, seed)
        return solve(rows, strength, start=start, **(NEAR if x.dtype == "float32" else {}))


def shuffled(y, seed):
    """Return an order of the rows in which every part, such as the one held out, has its share of each class.

    Args:
        y: Labels `(n,)`.
        seed: Seed of the order.
    """
    order = np.random.default_rng(seed).permutation(len(y))
    place = np.empty(len(y))
    for label in np.unique(y):
        own = np.flatnonzero(y[order] == label)
        place[own] = np.arange(len(own)) / len(own)  # a class of one comes first: it is learned from
    return order[np.argsort(place, kind="stable")]


def _choose(rows, y, seed):
    """Return the strength that predicts best, and weights near its solution if one part alone was held out."""
    parts = _parts(rows.in_float32(), y, seed)
    if not parts:
        return float(np.median(STRENGTHS)), None
    found, losses, tol = [[None] * len(parts)], [], 1e-3 if len(parts) == 1 else 1e-7
    for strength in STRENGTHS:  # from the strongest penalty, the easiest: each begins where the one before ended
        found.append([solve(learn, strength, start=s, tol=tol) for (learn, _), s in zip(parts, found[-1], strict=True)])
        losses.append(sum(held.look(w, slope=False)[0] for (_, held), w in zip(parts, found[-1], strict=True)))
        if _past_the_valley(losses, None if len(parts) > 1 else len(parts[0][1].x)):
            break  # weaker penalties are ever dearer to solve
    best = int(np.argmin(losses))
    return STRENGTHS[best], found[best + 1][0] if len(parts) == 1 else None


def _past_the_valley(losses, held_out):
    """Whether no weaker penalty is worth a look: with many rows the loss has one valley, with folds it is rougher."""
    if held_out is None:
        return losses[-1] > _ROUGH * min(losses)
    return losses[-1] > min(losses[:-1], default=np.inf) - _WORTH * held_out


def _parts(rows, y, seed):
    """Return pairs of rows to learn from and rows held out; none with too few of a class for folds."""
    from sklearn.model_selection import StratifiedKFold

    if len(y) >= MANY:
        end = len(y) - round(_HELD_OUT * len(y))
        return [(rows.take(slice(end)), rows.take(slice(end, None)))]
    folds = min(_FOLDS, np.bincount(y).min())
    if folds < 2:
        return []
    split = StratifiedKFold(folds, shuffle=True, random_state=seed).split(y, y)
    return [(rows.take(learn), rows.take(held)) for learn, held in split]


def solve(rows, strength, *, start=None, tol=1e-14, gap=0.0):
    """Minimise `strength * sum of log losses + |kernel|^2 / 2`.

    Args:
        rows: `Rows`.
        strength: Inverse L2 strength; for two classes that of the one column that scikit-learn fits.
        start: Weights to begin at; zero if `None`.
        tol: Relative decrease of the loss in a step at which to stop.
        gap: Estimated share of the loss that could still be won at which to stop.

    Returns:
        Weights `(features + 1, classes)`, float64; the last row is the bias, which is not penalised.
    """
    from scipy.optimize import minimize

    shape = rows.x.shape[1] + 1, rows.truth.shape[1]
    penalty = (2 if shape[1] == 2 else 1) / strength  # one column, w, is (-w/2, w/2): half its square
    weights = np.zeros(shape) if start is None else start
    for steps in _ROUNDS if start is None else _ROUNDS[2:]:
        space = _Whitened(rows, penalty, weights)
        options = {"maxiter": steps, "maxfun": 10 * steps, "ftol": tol, "gtol": 1e-9, "maxcor": 20}
        start, stop = space.enter(weights), lambda _, space=space: space.stop_within(gap)
        found = minimize(space.value, start, jac=True, method="L-BFGS-B", callback=stop, options=options)
        weights = space.leave(found.x)
        if found.status != 1:  # 1: the steps were used up
            break
    return weights


class _Whitened:
    """The space where the curvature at some weights, with D replaced by its mean, is one."""

    def __init__(self, rows, penalty, weights):
        from scipy.linalg import cholesky

        self.rows, self.penalty = rows, penalty
        unsure = max(rows.look(weights, slope=False)[1] / rows.truth.shape[1], 1e-6 * len(rows.x))
        curvature = unsure * rows.covariance
        rounding = (1e-4 if rows.x.dtype == "float32" else 1e-12) * float(np.mean(np.diag(curvature)))
        curvature[np.diag_indices_from(curvature)] += max(penalty, rounding)  # so that it stays positive
        self.root = cholesky(curvature, lower=True, overwrite_a=True, check_finite=False)
        self.bias_root = unsure**0.5

    def enter(self, weights):
        return np.vstack([self.root.T @ weights[:-1], weights[-1:] * self.bias_root]).ravel()

    def leave(self, point):
        point = point.reshape(-1, self.rows.truth.shape[1])
        return np.vstack([self._divide(point[:-1], "T"), point[-1:] / self.bias_root])

    def value(self, point):
        """Return the penalised loss and its slope."""
        weights = self.leave(point)
        loss, _, slope = self.rows.look(weights)
        slope[:-1] += self.penalty * weights[:-1]
        slope = np.vstack([self._divide(slope[:-1], "N"), slope[-1:] / self.bias_root]).ravel()
        self.last = loss + self.penalty / 2 * np.sum(weights[:-1] ** 2), slope
        return self.last

    def stop_within(self, gap):
        """End the steps where, with a curvature of one, half the squared slope is all that could be won."""
        loss, slope = self.last
        if slope @ slope / 2 < gap * loss:
            raise StopIteration

    def _divide(self, columns, trans):
        from scipy.linalg import solve_triangular

        columns = columns.astype(self.root.dtype)
        return solve_triangular(self.root, columns, trans=trans, lower=True, check_finite=False).astype("float64")
