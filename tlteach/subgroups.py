"""Subgroups: for whom a model goes wrong, and one answer for each patient instead of each picture."""

import numpy as np
import pandas as pd

from tlteach.evaluation import check_column, measured_share, report_of


def accuracy_by(report, column):
    """Compare the accuracy in the parts of a split, such as each scanner's pictures: the worst first.

    A good mean can hide a scanner, a contrast or a group of people for whom the model does not
    work. The worst of many small parts looks bad by chance alone: read the interval with it.

    Args:
        report: `Report`.
        column: Column of `report.predictions`.

    Returns:
        `pandas.DataFrame`, a row a value of the column: accuracy, low, high (95 % interval), n
        (pictures), groups (if the report has them), and the sensitivity of each class (NaN
        where a part has none of it).

    Raises:
        ValueError: If there is no such column, or pictures without a value.

    Example:
        >>> import tlteach as tl
        >>> pets, vgg = tl.load_dataset("cats_vs_dogs", "mini"), tl.load_backbone("vgg16", "mini")
        >>> report = tl.evaluate(tl.attach_head(vgg, 2), pets.val)
        >>> tl.accuracy_by(report, "light").columns.tolist()
        ['accuracy', 'low', 'high', 'n', 'sensitivity_cat', 'sensitivity_dog']

    Reference:
        Buolamwini and Gebru 2018, Gender shades; Oakden-Rayner et al. 2020, Hidden stratification.
    """
    check_column(report.predictions, column)
    values, true = report.predictions[column], report.predictions["class"]
    right = (true == report.predictions["predicted"]).to_numpy()
    found = {}
    for value in sorted(values.unique(), key=str):
        rows = (values == value).to_numpy()
        found[value] = measured_share(report, right, rows)
        for name in report.classes:
            own = right[rows & (true == name).to_numpy()]
            found[value][f"sensitivity_{name}"] = own.mean() if len(own) else np.nan
    table = pd.DataFrame(list(found.values()), index=pd.Index(list(found), name=column))
    table.attrs["unit"] = "texts" if "text" in report.predictions else "pictures"
    return table.rename(columns={"value": "accuracy"}).sort_values("accuracy", kind="stable")


def worst_group(report, column):
    """Return the class and group for which a model is worst, such as the meningiomas of scanner B.

    A mean over groups hides what happens within a class. The worst of many small cells looks
    bad by chance alone, so read the interval and how many pictures it has.

    Args:
        report: `Report`.
        column: Column of `report.predictions`.

    Returns:
        `pandas.Series`: class, the column's value, accuracy, low, high (95 % interval), n (pictures),
        and groups (if the report has them).

    Raises:
        ValueError: If there is no such column, or pictures without a value.

    Example:
        >>> import tlteach as tl
        >>> pets, vgg = tl.load_dataset("cats_vs_dogs", "mini"), tl.load_backbone("vgg16", "mini")
        >>> report = tl.evaluate(tl.attach_head(vgg, 2), pets.val)
        >>> tl.worst_group(report, "light").index.tolist()
        ['class', 'light', 'accuracy', 'low', 'high', 'n']

    Reference:
        Sagawa et al. 2020, Distributionally robust neural networks for group shifts.
    """
    check_column(report.predictions, column)
    values, true = report.predictions[column], report.predictions["class"]
    right = (true == report.predictions["predicted"]).to_numpy()
    cells = [(name, value) for name in report.classes for value in sorted(values[true == name].unique(), key=str)]
    rows = {cell: ((true == cell[0]) & (values == cell[1])).to_numpy() for cell in cells}
    worst = min(cells, key=lambda cell: right[rows[cell]].mean())
    found = measured_share(report, right, rows[worst])
    return pd.Series({"class": worst[0], column: worst[1], **found}, name="worst").rename({"value": "accuracy"})


def average_by(report, column):
    """Make one prediction for each patient (or other group): the mean probability of its pictures.

    A hospital treats patients, not slices. The mean suits groups whose pictures all show the same
    class; not a patient of whom a few slices show the tumour and the rest do not.

    Args:
        report: `Report`, a row a picture.
        column: Column of `report.predictions` that names the group, such as `"patient"`.

    Returns:
        `Report`, a row a group; its predictions have the column, how many pictures there were, and
        what is the same in all of a group's pictures.

    Raises:
        ValueError: If there is no such column, pictures without a value, or a group with several classes.

    Example:
        >>> import tlteach as tl
        >>> pets, vgg = tl.load_dataset("cats_vs_dogs", "mini"), tl.load_backbone("vgg16", "mini")
        >>> report = tl.evaluate(tl.attach_head(vgg, 2), pets.val)
        >>> tl.average_by(report, "path").n  # here each picture is a group by itself
        200
    """
    check_column(report.predictions, column)
    grouped = report.predictions.groupby(column, sort=False)
    _check_one_class(report.predictions, column)
    probabilities = grouped[[f"p_{name}" for name in report.classes]].mean()
    table = pd.DataFrame(
        {
            "class": grouped["class"].first(),
            "predicted": np.array(report.classes)[probabilities.to_numpy().argmax(1)],
            "probability": probabilities.max(axis=1),
            **probabilities,
            "pictures": grouped.size(),
        }
    )
    table = table.join(_shared(report.predictions, column, known=table)).reset_index()
    groups = report.groups if report.groups in table and report.groups != column else None
    return report_of(table, report.classes, groups=groups)


def _check_one_class(predictions, column):
    several = predictions.groupby(column, sort=False)["class"].nunique()
    mixed = list(several.index[several > 1])
    if mixed:
        names = sorted(map(str, predictions.loc[predictions[column] == mixed[0], "class"].unique()))
        raise ValueError(
            f"all pictures of one {column} must have the same class. Received: {len(mixed)} with several, "
            f"such as {mixed[0]!r} ({', '.join(names)}); average by another column."
        )


def _shared(predictions, column, *, known):
    """The further columns that have one value in each group."""
    grouped = predictions.groupby(column, sort=False)
    further = [name for name in predictions if name not in known and name != column]
    kept = [name for name in further if grouped[name].nunique(dropna=False).max() == 1]
    return predictions.drop_duplicates(column).set_index(column)[kept]
