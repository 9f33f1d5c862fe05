"""Plots: each takes `ax=None`, draws what was measured, and returns the Axes."""

import matplotlib.pyplot as plt
import numpy as np

COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"]  # Okabe and Ito 2008


def _axes(ax, size=(6, 3.8)):
    return plt.subplots(figsize=size, layout="constrained")[1] if ax is None else ax


def plot_run(run, *, metric="accuracy", ax=None):
    """Draw training and validation of a `Run` over its epochs, phases marked.

    Args:
        run: `Run` from `fine_tune`.
        metric: `"accuracy"` or `"loss"`.
        ax: Axes to draw on; new ones if `None`.

    Returns:
        The Axes.
    """
    if metric not in run.history:
        raise ValueError(f"metric must be 'accuracy' or 'loss', of a run with a phase. Received: {metric!r}.")
    ax, table = _axes(ax), run.history.reset_index(drop=True)
    ax.plot(table.index, table[metric], "o-", color=COLOURS[0], label="training")
    ax.plot(table.index, table[f"val_{metric}"], "s--", color=COLOURS[1], label="validation")
    ax.set(xlabel="epoch (0: the phase's beginning)", ylabel=metric)
    ax.set_xticks(table.index, table["epoch"])
    for _, part in table.groupby("phase"):
        ax.axvline(part.index[0], color="0.8", zorder=0)
        ax.annotate(
            f"from {part['stages'].iloc[0].split(' + ')[0]} on",
            (part.index[0], 1.02),
            xycoords=("data", "axes fraction"),
            fontsize=8,
            color="0.3",
        )
    ax.legend(frameon=False)
    return ax


def plot_confusion(report, *, ax=None):
    """Draw the confusion matrix of a `Report`, counts in the cells.

    Args:
        report: `Report` from `evaluate`.
        ax: Axes to draw on; new ones if `None`.

    Returns:
        The Axes.
    """
    ax, counts = _axes(ax, (3.8, 3.4)), report.confusion.to_numpy()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(counts):
        ax.text(j, i, count, ha="center", va="center", color="white" if shares[i, j] > 0.5 else "black")
    ax.set_xticks(range(len(report.classes)), report.classes, rotation=45 if len(report.classes) > 4 else 0)
    ax.set_yticks(range(len(report.classes)), report.classes)
    low, high = report.accuracy_interval
    ax.set(xlabel="predicted", ylabel="true class", title=f"{report.accuracy:.1%} right ({low:.1%} to {high:.1%})")
    return ax


def plot_pictures(split, rows=range(12), *, titles=None, columns=6, fig=None):
    """Draw pictures of a split with their class names.

    Args:
        split: `Split`.
        rows: Which pictures.
        titles: A title for each; the class names if `None`.
        columns: Pictures in a row.
        fig: Figure to draw on; a new one if `None`.

    Returns:
        Array of Axes.
    """
    rows = list(rows)
    titles = [split.table["class"].iloc[i] for i in rows] if titles is None else titles
    height = max(1, -(-len(rows) // columns))
    fig = plt.figure(figsize=(1.2 * columns, 1.4 * height), layout="constrained") if fig is None else fig
    axes = np.atleast_1d(fig.subplots(height, columns, squeeze=False)).ravel()
    for ax in axes:
        ax.axis("off")
    for ax, row, title in zip(axes, rows, titles, strict=False):
        ax.imshow(split.picture(row))
        ax.set_title(title, fontsize=9)
    return axes


def plot_label_curve(results, *, by="strategy", value="accuracy", ax=None):
    """Draw a measure over the number of labels: the mean of the seeds in its band.

    Args:
        results: `pandas.DataFrame`, a row a run, with columns labels, seed, `by` and `value`.
        by: Column that tells the lines apart.
        value: Column that is drawn.
        ax: Axes to draw on; new ones if `None`. The band reaches from the worst seed to the best.

    Returns:
        The Axes.
    """
    ax = _axes(ax)
    for colour, marker, (name, rows) in zip(COLOURS, "os^Dv<", results.groupby(by, sort=False), strict=False):
        spread = rows.groupby("labels")[value].agg(["mean", "min", "max"])
        ax.plot(spread.index, spread["mean"], marker=marker, color=colour, label=name)
        ax.fill_between(spread.index, spread["min"], spread["max"], color=colour, alpha=0.15, linewidth=0)
    ticks = sorted(results["labels"].unique())
    ax.set_xscale("log")
    ax.set_xticks(ticks, ticks)
    ax.set_xticks([], minor=True)
    ax.set(xlabel="labelled pictures", ylabel=value)
    ax.legend(frameon=False)
    return ax


def plot_seconds(results, *, by="strategy", ax=None):
    """Draw the time that each strategy took: the mean of its runs, and each run as a dot.

    Args:
        results: `pandas.DataFrame`, a row a run, with columns seconds and `by`.
        by: Column that tells the bars apart.
        ax: Axes to draw on; new ones if `None`.

    Returns:
        The Axes.
    """
    ax = _axes(ax, (6, 2.2))
    names = list(dict.fromkeys(results[by]))
    for place, name in enumerate(names):
        seconds = results.loc[results[by] == name, "seconds"]
        ax.barh(place, seconds.mean(), color=COLOURS[place % len(COLOURS)], alpha=0.5)
        ax.plot(seconds, np.full(len(seconds), place), "k.", markersize=4)
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    ax.set(xlabel="seconds a run")
    return ax
