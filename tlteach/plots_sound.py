"""Plots of sound: each takes `ax=None`, draws what was computed, and returns the Axes."""

import matplotlib.pyplot as plt
import numpy as np

from tlteach.frontends import spectrogram
from tlteach.plots import COLOURS, _axes

LABELLED = (100, 200, 500, 1000, 2000, 3500)  # hertz


def plot_spectrogram(seen, *, ax=None):
    """Draw a spectrogram with seconds along and hertz upwards, as a network sees it.

    Args:
        seen: `Spectrogram` from `spectrogram`.
        ax: Axes to draw on; new ones if `None`.

    Returns:
        The Axes.

    Example:
        >>> import numpy as np, tlteach as tl
        >>> tone = np.sin(2 * np.pi * 440 * np.arange(4000) / 8000)
        >>> tl.plot_spectrogram(tl.spectrogram(tone)).get_ylabel()
        'frequency (Hz, mel scale)'
    """
    ax = _axes(ax, (4.2, 3.2))
    level, seconds, hertz = seen
    ax.imshow(
        level, origin="lower", aspect="auto", cmap="magma", extent=(seconds[0], seconds[-1], -0.5, len(hertz) - 0.5)
    )
    shown = [each for each in LABELLED if hertz[0] <= each <= hertz[-1]]
    ax.set_yticks(np.interp(shown, hertz, np.arange(len(hertz))), [f"{each:,}" for each in shown])
    ax.set(xlabel="time (s)", ylabel="frequency (Hz, mel scale)")
    return ax


def plot_spectrograms(split, rows, *, titles=None, fig=None):
    """Draw recordings of a split side by side, with the same axes.

    Args:
        split: `Split` of recordings.
        rows: Which recordings.
        titles: A title for each; the class names if `None`.
        fig: Figure to draw on; a new one if `None`.

    Returns:
        Array of Axes.
    """
    rows = list(rows)
    titles = [split.table["class"].iloc[i] for i in rows] if titles is None else titles
    fig = plt.figure(figsize=(2.6 * len(rows) + 0.6, 2.7), layout="constrained") if fig is None else fig
    axes = fig.subplots(1, len(rows), squeeze=False)[0]
    for ax, row, title in zip(axes, rows, titles, strict=True):
        plot_spectrogram(spectrogram(split, row), ax=ax)
        ax.set_title(title, fontsize=9)
    for ax in axes[1:]:
        ax.set(ylabel="", yticklabels=[])
    return axes


def plot_ranges(results, *, by="way", beside="speakers", value="accuracy", ax=None):
    """Draw a measure for each way, the mean of its runs and a bar from the worst to the best.

    Args:
        results: `pandas.DataFrame`, a row a run, with columns `by`, `beside` and `value`.
        by: Column whose values stand below each other.
        beside: Column whose values are told apart by colour.
        value: Column that is drawn.
        ax: Axes to draw on; new ones if `None`.

    Returns:
        The Axes.
    """
    names, kinds = list(dict.fromkeys(results[by])), list(dict.fromkeys(results[beside]))
    ax = _axes(ax, (6, 0.9 + 0.45 * len(names)))
    for number, kind in enumerate(kinds):
        runs = results[results[beside] == kind].groupby(by)[value]
        mean, low, high = (getattr(runs, what)().reindex(names) for what in ("mean", "min", "max"))
        places = np.arange(len(names)) + 0.24 * (number - (len(kinds) - 1) / 2)
        reach = np.stack([mean - low, high - mean])
        ax.errorbar(mean, places, xerr=reach, fmt="osD^"[number % 4], color=COLOURS[number], capsize=3, label=kind)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set(xlabel=f"{value}: mean, worst and best run")
    ax.legend(frameon=False, fontsize=8, title=beside, title_fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return ax
