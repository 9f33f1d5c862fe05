"""Plots of an evaluation: each draws what was measured, and returns the Axes."""

import textwrap

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap

from tlteach.data import Split
from tlteach.plots import COLOURS, _axes, plot_pictures

LETTERS = 16  # of a caption in a line, over one of six pictures side by side
_MARKERS = "os^Dv<"


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
    crowded = sum(len(str(name)) + 2 for name in report.classes) > 30
    ax.set_xticks(range(len(report.classes)), report.classes, rotation=45 if crowded else 0)
    ax.set_yticks(range(len(report.classes)), report.classes)
    low, high = report.accuracy_interval
    ax.set(xlabel="predicted", ylabel="true class", title=f"{report.accuracy:.1%} right ({low:.1%} to {high:.1%})")
    return ax


def plot_mistakes(report, split, *, most=12, fig=None):
    """Draw the surest mistakes of a `Report`: what it is, what it was taken for, and how sure.

    Args:
        report: `Report` of this split.
        split: `Split` that was evaluated.
        most: How many mistakes to draw at most.
        fig: Figure to draw on; a new one if `None`.

    Returns:
        Array of Axes; a single one that says so if there are no mistakes.

    Raises:
        ValueError: If the report is of other pictures.
    """
    if report.n != split.num_examples or "path" not in report.predictions:
        raise ValueError(
            "the report must be of this split, a row a picture. "
            f"Received: a report of {report.n} rows and {split.num_examples} pictures."
        )
    worst = report.mistakes().head(most)
    if worst.empty:
        ax = _axes(None, (3, 1)) if fig is None else fig.subplots()
        ax.text(0.5, 0.5, "no mistakes", ha="center", va="center", transform=ax.transAxes)
        ax.axis("off")
        return np.array([ax])
    told = [f"is {r['class']},\ncalled {r.predicted}" for _, r in worst.iterrows()]
    if max(map(len, told)) <= LETTERS:
        told = [words.replace("\n", " ") for words in told]
    titles = [f"{in_lines(words)}\n({p:.0%})" for words, p in zip(told, worst["probability"], strict=True)]
    return plot_pictures(split, worst.index, titles=titles, fig=fig)


def in_lines(words, letters=LETTERS):
    """Return a caption in lines so short that those of pictures side by side do not run into each other.

    Args:
        words: The caption; its own line ends stay.
        letters: What there is room for in a line.
    """
    return "\n".join(textwrap.fill(line, letters) for line in words.split("\n"))


def plot_roc(curves, *, thresholds=None, ax=None):
    """Draw ROC curves, their areas with intervals in the legend.

    Args:
        curves: `Curve` from `roc_curve`, or a dict from a name to such.
        thresholds: A threshold to be marked on each curve, or a dict from a name to one.
        ax: Axes to draw on; new ones if `None`.

    Returns:
        The Axes.
    """
    ax = _axes(ax, (4.6, 4.4))
    ax.set(xlabel="false alarms (1 - specificity)", ylabel="sensitivity", aspect="equal")
    _draw_curves(ax, _named(curves), thresholds, axes=("false_positive_rate", "sensitivity"), area="AUC")
    ax.plot([0, 1], [0, 1], ":", color="0.5", zorder=0, label="by chance")
    ax.legend(edgecolor="none", fontsize=8, loc="lower right")  # its ground hides the line of chance
    return ax


def plot_precision_recall(curves, *, thresholds=None, ax=None):
    """Draw precision-recall curves, their average precision with intervals in the legend.

    Args:
        curves: `Curve` from `precision_recall_curve`, or a dict from a name to such.
        thresholds: A threshold to be marked on each curve, or a dict from a name to one.
        ax: Axes to draw on; new ones if `None`.

    Returns:
        The Axes.
    """
    ax, named = _axes(ax, (4.6, 4.4)), _named(curves)
    ax.set(xlabel="recall (sensitivity)", ylabel="precision (PPV)", aspect="equal")
    _draw_curves(ax, named, thresholds, axes=("recall", "precision"), area="AP")
    for share in sorted({curve.positives / curve.n for curve in named.values()}):
        ax.axhline(share, linestyle=":", color="0.5", zorder=0, label=f"by chance ({share:.0%} are positive)")
    ax.legend(frameon=False, fontsize=8, loc="lower left")
    return ax


def _named(curves):
    return curves if isinstance(curves, dict) else {" or ".join(map(str, curves.positive)): curves}


def _draw_curves(ax, curves, thresholds, *, axes, area):
    style = "steps-pre" if area == "AP" else "default"  # average precision is the area of these steps
    for colour, marker, (name, curve) in zip(COLOURS, _MARKERS, curves.items(), strict=False):
        (low, high), (x, y) = curve.interval, axes
        label = f"{name}: {area} {curve.area:.3f} ({low:.3f} to {high:.3f})"
        ax.plot(curve.table[x], curve.table[y], color=colour, drawstyle=style, label=label, clip_on=False)
        threshold = thresholds.get(name) if isinstance(thresholds, dict) else thresholds
        if threshold is not None:
            point = curve.table[curve.table["threshold"] >= threshold].iloc[-1]
            told = f"threshold {threshold:.2g}: {y} {point[y]:.0%}, {ax.get_xlabel().split(' (')[0]} {point[x]:.0%}"
            ax.plot(point[x], point[y], marker, color=colour, markeredgecolor="black", clip_on=False, label=told)
    ax.set(xlim=(0, 1), ylim=(0, 1))


def plot_calibration(tables, *, ax=None):
    """Draw accuracy against confidence: on the diagonal, a model is as sure as it is right.

    Args:
        tables: `pandas.DataFrame` from `calibration_table`, or a dict from a name to such.
        ax: Axes to draw on; new ones if `None`. Below the diagonal, a model is too sure.

    Returns:
        The Axes.
    """
    ax, tables = _axes(ax, (4.4, 4.2)), tables if isinstance(tables, dict) else {"the model": tables}
    ax.plot([0, 1], [0, 1], ":", color="0.5", zorder=0, label="as sure as right")
    for colour, marker, (name, table) in zip(COLOURS, _MARKERS, tables.items(), strict=False):
        reach = np.abs(table[["low", "high"]].to_numpy().T - table["accuracy"].to_numpy())  # (2, bins)
        ax.errorbar(
            table["confidence"], table["accuracy"], reach, fmt=f"{marker}-", color=colour, capsize=2, lw=1, label=name
        )
    least = min(min(t["confidence"].min(), t["low"].min()) for t in tables.values())
    ax.set(xlim=(least - 0.02, 1.02), ylim=(least - 0.02, 1.02), aspect="equal")
    ax.set(xlabel="confidence (probability of what was predicted)", ylabel="accuracy")
    ax.legend(frameon=False, fontsize=8, loc="upper left")
    return ax


def plot_accuracy_by(table, *, ax=None):
    """Draw the accuracy in each part of a split with its interval, the worst on top.

    Args:
        table: `pandas.DataFrame` from `accuracy_by`.
        ax: Axes to draw on; new ones if `None`.

    Returns:
        The Axes.
    """
    ax, places = _axes(ax, (5.4, 0.9 + 0.35 * len(table))), np.arange(len(table))
    reach = np.abs(table[["low", "high"]].to_numpy().T - table["accuracy"].to_numpy())  # (2, parts)
    ax.errorbar(table["accuracy"], places, xerr=reach, fmt="o", color=COLOURS[0], capsize=3)
    counts = table["groups"] if "groups" in table else table["n"]
    unit = "groups" if "groups" in table else table.attrs.get("unit", "pictures")
    ax.set_yticks(places, [f"{name} ({count} {unit})" for name, count in counts.items()])
    ax.set_ylim(len(table) - 0.5, -0.5)  # downwards, and with the same room at both ends
    ax.set(xlabel="accuracy, 95 % interval", ylabel=table.index.name)
    return ax


def plot_activation_maps(pictures, maps, *, titles=None, outlines=None, fig=None):
    """Draw pictures with the evidence for a class over them, all on one scale.

    Only evidence for the class is shown; where there is little, the picture shows through.

    Args:
        pictures: `Split` or array `(n, height, width, 3)` in 0..255: the few that are to be drawn.
        maps: Array `(n, map height, map width)` from `class_activation_maps` of the same pictures.
        titles: A title for each; the class names of a `Split` if `None`.
        outlines: Masks `(n, height, width)` whose border is drawn, such as a tumour's; none if `None`.
        fig: Figure to draw on; a new one if `None`.

    Returns:
        Array of Axes, one for each picture.

    Raises:
        ValueError: If there is not one map for each picture.
    """
    shown, names = _pictures_and_names(pictures)
    if len(shown) != len(maps) or not len(shown):
        raise ValueError(f"each picture needs one map. Received: {len(shown)} pictures and {len(maps)} maps.")
    columns = min(6, len(shown))
    height = -(-len(shown) // columns)
    fig = plt.figure(figsize=(1.6 * columns + 0.8, 1.9 * height), layout="constrained") if fig is None else fig
    axes = fig.subplots(height, columns, squeeze=False).ravel()
    for ax in axes:
        ax.axis("off")
    most = max(float(np.max(maps)), 1e-12)
    for i, (ax, picture) in enumerate(zip(axes, shown, strict=False)):
        drawn = _map_on(ax, picture, evidence=maps[i], most=most)
        ax.set_title((names if titles is None else titles)[i], fontsize=9)
        if outlines is not None and np.any(outlines[i]):
            for colour, style in (("black", "solid"), ("white", "dashed")):  # seen on dark and on bright
                ax.contour(outlines[i], [0.5], colors=colour, linewidths=1.2, linestyles=style)
    fig.colorbar(drawn, ax=axes, label="evidence (logit)", shrink=0.8)
    return axes[: len(shown)]


def _pictures_and_names(pictures):
    if isinstance(pictures, Split):
        names = [pictures.classes[label] for label in pictures.labels]
        return [pictures.picture(i) for i in range(pictures.num_examples)], names
    return list(pictures), [""] * len(pictures)


def _map_on(ax, picture, *, evidence, most):
    """Draw a picture in grey and its map over it, as large: the colours then mean the map alone."""
    height, width = picture.shape[:2]
    ax.imshow(np.asarray(picture, "float32").mean(-1), cmap="gray", vmin=0, vmax=255)
    place = (-0.5, width - 0.5, height - 0.5, -0.5)
    return ax.imshow(np.maximum(evidence, 0), cmap=_heat(), vmin=0, vmax=most, extent=place, interpolation="bicubic")


def _heat():
    """A map of colours that grow lighter and less transparent together; none so dark that it hides a dark picture."""
    colours = plt.get_cmap("plasma")(np.linspace(0.4, 1, 256))
    colours[:, 3] = np.clip(np.linspace(0, 1, 256) * 1.4, 0, 0.75)
    return ListedColormap(colours, name="evidence")
