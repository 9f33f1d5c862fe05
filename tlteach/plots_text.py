"""Plots of text: each takes `ax=None`, draws what was computed, and returns the Axes."""

import textwrap

import numpy as np

from tlteach.plots import _axes

_WIDE = 64  # characters in a line


def plot_word_evidence(tables, *, names=("against", "for"), ax=None):
    """Write a text with each word on the colour of its evidence: orange for the class, blue against it.

    Args:
        tables: `pandas.DataFrame` from `word_evidence`, or a dict from a name to such: one text each, all on one scale.
        names: What the two ends of the scale are called.
        ax: Axes to draw on; new ones if `None`.

    Returns:
        The Axes.

    Example:
        >>> import pandas as pd, tlteach as tl
        >>> words = pd.DataFrame({"word": ["A", "fine", "film."], "evidence": [0.0, 1.5, 0.2]})
        >>> len(tl.plot_word_evidence(words).texts)
        3
    """
    tables = tables if isinstance(tables, dict) else {"": tables}
    lines = [each for name, table in tables.items() for each in _lines(name, table)]
    ax = _axes(ax, (5.8, 0.7 + 0.27 * len(lines)))
    most = max(max(table["evidence"].abs().max() for table in tables.values()), 1e-9)
    shade = _shade(ax, most, names)
    for row, words in enumerate(lines):
        for place, word, evidence in words:
            box = dict(boxstyle="square,pad=0.12", linewidth=0, facecolor=shade(evidence))
            plain = dict(family="monospace", fontsize=9, va="center")
            ax.text(place, -row, word, bbox=None if np.isnan(evidence) else box, **plain)
    ax.set(xlim=(0, _WIDE), ylim=(-len(lines) + 0.4, 0.6))
    ax.axis("off")
    return ax


def _shade(ax, most, names):
    import matplotlib as mpl

    colours = mpl.colors.LinearSegmentedColormap.from_list("evidence", ["#56b4e9", "#ffffff", "#e69f00"])
    scale = mpl.cm.ScalarMappable(mpl.colors.Normalize(-most, most), colours)
    bar = ax.figure.colorbar(scale, ax=ax, orientation="horizontal", aspect=60, pad=0.02, ticks=[-most, 0, most])
    bar.ax.set_xticklabels([f"{names[0]} {-most:.2g}", "0", f"{names[1]} {most:.2g}"], fontsize=8)
    return scale.to_rgba


def _lines(name, table):
    """Break a text into lines of `(place, word, evidence)`; a name stands before it, without evidence."""
    lines, place = [[]], 0
    if name:
        heads = textwrap.wrap(name, _WIDE)
        lines = [*([(0, head, np.nan)] for head in heads), []]
    for word, evidence in zip(table["word"], table["evidence"], strict=True):
        if place and place + len(word) > _WIDE:
            lines, place = [*lines, []], 0
        lines[-1].append((place, word, float(evidence)))
        place += len(word) + 1
    return lines
