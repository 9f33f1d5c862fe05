"""Balancing: weights and draws that let each group of each class count alike, however rare it is."""

import numpy as np
import pandas as pd

from tlteach.evaluation import check_column


def group_weights(table, group, *, label="class"):
    """Return weights with which every group of every class counts alike: for `linear_probe(weights=)`.

    Where nearly all gliomas come from one scanner, a model that looks at the scanner is right on nearly
    all of them. Weighted, it gains nothing by that. The weights make few pictures count much, so chance decides
    more; and a network that fits all its training pictures exactly hardly heeds them.

    Args:
        table: A split's table, a row a picture.
        group: Column whose values should count alike, such as `"scanner"`.
        label: Column of the class within which they should; `None` balances the groups alone.

    Returns:
        Weights `(n,)`, float64, 1 in the mean.

    Raises:
        ValueError: If there is no such column, a picture has no value, or a class has no picture of a group.

    Example:
        >>> import pandas as pd, tlteach as tl
        >>> table = pd.DataFrame({"class": list("aaaabbbb"), "scanner": list("AAABABBB")})
        >>> tl.group_weights(table, "scanner").round(2)
        array([0.67, 0.67, 0.67, 2.  , 2.  , 0.67, 0.67, 0.67])

    Reference:
        Shimodaira 2000; Sagawa et al. 2020, An investigation of why overparameterization exacerbates
        spurious correlations.
    """
    cells = _cells(table, group, label)
    counts = np.bincount(cells)
    return len(cells) / (len(counts) * counts[cells])


def balanced_rows(table, group, *, label="class", seed=0):
    """Draw rows of which every group of every class has the same number: what to retrain a last layer on.

    A probe that is solved anew on balanced pictures that the network has not been trained on, drops what
    only seemed to tell the classes apart. The smallest group decides how many there are, and everything else is
    thrown away: repeat with other seeds and look at the spread.

    Args:
        table: A split's table, a row a picture.
        group: Column whose values should be equally frequent, such as `"scanner"`.
        label: Column of the class within which they should; `None` balances the groups alone.
        seed: Seed of the drawing.

    Returns:
        Row numbers, rising, for `split.take` or a features array.

    Raises:
        ValueError: If there is no such column, a picture has no value, or a class has no picture of a group.

    Example:
        >>> import pandas as pd, tlteach as tl
        >>> table = pd.DataFrame({"class": list("aaaabbbb"), "scanner": list("AAABABBB")})
        >>> len(tl.balanced_rows(table, "scanner"))
        4

    Reference:
        Kirichenko, Izmailov and Wilson 2023, Last layer re-training is sufficient for robustness to spurious
        correlations.
    """
    cells = _cells(table, group, label)
    order = np.random.default_rng(seed).permutation(len(cells))
    place = pd.Series(order).groupby(cells[order]).cumcount().to_numpy()
    return np.sort(order[place < np.bincount(cells).min()])


def _cells(table, group, label):
    """Number the combinations of group and class; each must be there, or nothing can balance it."""
    columns = [group] if label is None else [label, group]
    for column in columns:
        check_column(table, column)
    if not len(table):
        raise ValueError("a table without pictures cannot be balanced. Received: 0 rows.")
    counts = table.groupby(columns, observed=True).size()
    if label is not None:
        missing = [(c, g) for c in table[label].unique() for g in table[group].unique() if (c, g) not in counts.index]
        if missing:
            raise ValueError(
                f"every {label} needs pictures of every {group}. "
                f"Received: none of {missing[0][0]!r} with {missing[0][1]!r} ({len(missing)} such in all); "
                "leave those out, or balance the groups alone with label=None."
            )
    return table.groupby(columns, observed=True).ngroup().to_numpy()
