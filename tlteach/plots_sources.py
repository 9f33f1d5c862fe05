"""Plots of sources and what they gave: each draws what was measured, and returns the Axes."""

import matplotlib.pyplot as plt
import numpy as np

from tlteach.plots import COLOURS, MANY, _axes, _bands

_NAMED = 5  # sources whose names find room beside their points
_WRITTEN = {"h_score": "H-score", "shrunk_h_score": "shrunk H-score", "log_me": "LogME", "leep": "LEEP", "nce": "NCE"}


def plot_similarity(table, *, ax=None):
    """Draw how alike the stages of two backbones are, values in the cells.

    Args:
        table: `pandas.DataFrame` from `stage_similarity`.
        ax: Axes to draw on; new ones if `None`. Light is alike (1), dark is not (0).

    Returns:
        The Axes.
    """
    ax = _axes(ax, (1.6 + 0.6 * table.shape[1], 1.2 + 0.5 * table.shape[0]))
    ax.imshow(table.to_numpy(float), cmap="cividis", vmin=0, vmax=1, aspect="auto")
    for (i, j), value in np.ndenumerate(table.to_numpy(float)):
        if np.isfinite(value):
            ax.text(j, i, f"{value:.2f}", ha="center", va="center", color="black" if value > 0.5 else "white")
    ax.set_xticks(range(table.shape[1]), table.columns, rotation=45)
    ax.set_yticks(range(table.shape[0]), table.index)
    ax.set(xlabel=table.columns.name or "", ylabel=table.index.name or "")
    return ax


def plot_ranking(table, truth, *, scores=None, fig=None):
    """Draw what fine-tuning gave over what each score promised, a panel a score and a point a source.

    Up to five sources have their names beside their points; more have a legend.

    Args:
        table: `pandas.DataFrame` from `rank_sources`.
        truth: Accuracy of each source, a `pandas.Series` or dict by its name.
        scores: Columns of `table`; every one after the number of features if `None`.
        fig: Figure to draw on; a new one if `None`.

    Returns:
        Array of Axes. A perfect score's points rise from left to right.
    """
    scores = [name for name in table if name not in ("source", "features")] if scores is None else list(scores)
    fig = plt.figure(figsize=(2.6 * len(scores) + 0.4, 2.7), layout="constrained") if fig is None else fig
    axes = fig.subplots(1, len(scores), sharey=True, squeeze=False)[0]
    for ax, score in zip(axes, scores, strict=True):
        for place, (name, value) in enumerate(zip(table["source"], table[score], strict=True)):
            if name in truth and np.isfinite(value):
                ax.plot(value, truth[name], "os^Dv<"[place % 6], color=MANY[place % len(MANY)], label=name)
                if len(table) <= _NAMED:
                    ax.annotate(name, (value, truth[name]), xytext=(4, 4), textcoords="offset points", fontsize=8)
        ax.set(xlabel=_written(score))
        ax.margins(0.2)
    axes[0].set_ylabel("accuracy, fine-tuned")
    if len(table) > _NAMED:
        known = {name: line for ax in axes for line, name in zip(*ax.get_legend_handles_labels(), strict=True)}
        fig.legend(known.values(), known, loc="outside right center", frameon=False, fontsize=8)
    return axes


def _written(score):
    """A score's name as the text has it."""
    return _WRITTEN.get(score, score.replace("_", " "))


def plot_agreement(tables, *, ax=None):
    """Draw how far each score ranked the sources as fine-tuning did, with its interval.

    Args:
        tables: `pandas.DataFrame` from `rank_agreement`, or a dict from a target's name to one.
        ax: Axes to draw on; new ones if `None`. The axis is as long as a rank correlation can be, -1 to 1, and
            a dotted line marks chance.

    Returns:
        The Axes.
    """
    tables = tables if isinstance(tables, dict) else {"": tables}
    scores = list(dict.fromkeys(score for table in tables.values() for score in table["score"]))
    ax = _axes(ax, (6, 1.0 + 0.2 * len(scores) * (1 + len(tables))))
    for number, (name, table) in enumerate(tables.items()):
        places = np.array([scores.index(score) for score in table["score"]])
        places = places + 0.6 / len(tables) * (number - (len(tables) - 1) / 2)
        reach = np.abs(table[["low", "high"]].to_numpy().T - table["tau"].to_numpy())  # (2, scores)
        look = {"fmt": "os^Dv<"[number % 6], "color": MANY[number % len(MANY)], "capsize": 3}
        ax.errorbar(table["tau"], places, xerr=reach, label=name, **look)
    ax.axvline(0, color="0.5", linestyle=":", zorder=0)
    ax.set_yticks(range(len(scores)), [_written(score) for score in scores])
    ax.set_ylim(len(scores) - 0.5, -0.5)
    ax.set(xlim=(-1.05, 1.05), xlabel="rank correlation with fine-tuning, 95 % interval")
    if len(tables) > 1:
        ax.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def plot_gains(table, *, ax=None):
    """Draw the table of `gains`: how far each way is above or below the baseline, with its interval.

    Args:
        table: `pandas.DataFrame` from `gains`.
        ax: Axes to draw on; new ones if `None`. The dotted line is the baseline; what lies left of it with the
            whole interval is worse, and is drawn in the second colour.

    Returns:
        The Axes.
    """
    ax = _axes(ax, (6, 0.9 + 0.32 * len(table)))
    for place, (_, row) in enumerate(table.iterrows()):
        colour = COLOURS[1] if row["high"] < 0 else COLOURS[0]
        reach = 100 * np.array([[row["mean"] - row["low"]], [row["high"] - row["mean"]]])
        ax.errorbar(100 * row["mean"], place, xerr=reach, fmt="s" if row["high"] < 0 else "o", color=colour, capsize=3)
    ax.axvline(0, color="0.5", linestyle=":", zorder=0)
    ax.set_yticks(range(len(table)), table.index)
    ax.set_ylim(len(table) - 0.5, -0.5)
    ax.set(xlabel="points above the baseline, 95 % interval", ylabel=table.index.name or "")
    return ax


def plot_over(results, over, *, by="way", value="accuracy", bars=None, ax=None):
    """Draw a measure over a setting that was turned: the mean of the seeds in its band, beside bars to reach.

    Args:
        results: `pandas.DataFrame`, a row a run, with columns `over`, `by` and `value`.
        over: Column of numbers, the setting.
        by: Column that tells the lines apart.
        value: Column that is drawn.
        bars: Dict from a bar's name to its runs' values, such as those from scratch: drawn as a dashed line at their
            mean, whatever the setting.
        ax: Axes to draw on; new ones if `None`. Bands reach from the worst seed to the best.

    Returns:
        The Axes.
    """
    ax = _axes(ax)
    count = _bands(ax, results, over, by=by, value=value)
    for colour, (name, values) in zip(COLOURS[count:], (bars or {}).items(), strict=False):
        ax.axhline(np.mean(values), color=colour, linestyle="--", label=name)
        ax.axhspan(np.min(values), np.max(values), color=colour, alpha=0.08, linewidth=0)
    ax.set(xlabel=over, ylabel=value)
    ax.legend(frameon=False, fontsize=8)
    return ax


def plot_benefits(table, *, fig=None):
    """Draw the table of `benefits`: a panel a measure, its value and interval for each strategy.

    Args:
        table: `pandas.DataFrame` from `benefits`.
        fig: Figure to draw on; a new one if `None`. An arrow in place of an end: the interval is open there. A
            dotted line marks no difference from the baseline.

    Returns:
        Array of Axes.
    """
    names = table["strategy"] + np.where(table["source"] == "none", "", " (" + table["source"].astype(str) + ")")
    order = list(dict.fromkeys(names))
    measures = list(dict.fromkeys(table["measure"]))
    size = (2.2 * len(measures) + 1.2, 1.0 + 0.35 * len(order))
    fig = plt.figure(figsize=size, layout="constrained") if fig is None else fig
    axes = fig.subplots(1, len(measures), sharey=True, squeeze=False)[0]
    for ax, measure in zip(axes, measures, strict=True):
        rows = table[table["measure"] == measure]
        for name, (_, row) in zip(names[rows.index], rows.iterrows(), strict=True):
            _interval_on(ax, order.index(name), row)
        neutral = {"label saving": 1, "time to accuracy": None}.get(measure, 0)
        if neutral is not None:
            ax.axvline(neutral, color="0.5", linestyle=":", zorder=0)
        ax.set(xlabel={"label saving": "label saving (times)", "time to accuracy": "seconds"}.get(measure, measure))
        if neutral != 0:
            ax.set_xscale("log")
        if ax.texts:
            ax.margins(x=0.25)  # room for an arrow's head
    axes[0].set_yticks(range(len(order)), order)
    axes[0].set_ylim(len(order) - 0.5, -0.5)
    return axes


def _interval_on(ax, place, row):
    """A point with its interval; an arrow where the interval, or the value itself, has no end."""
    colour, value = COLOURS[place % len(COLOURS)], row["value"]
    if not np.isfinite(value):
        return
    opens = {-1: row["bound"] == "at most", 1: row["bound"] == "at least" or row["high"] == np.inf}
    opens[-1] |= row["low"] == 0 and row["measure"] not in _SIGNED
    ends = [end for end in (row["low"], row["high"]) if np.isfinite(end) and (end or row["measure"] in _SIGNED)]
    ax.plot(value, place, "o", color=colour)
    ax.plot([value, *ends], [place] * (1 + len(ends)), color=colour)
    for way in [way for way, is_open in opens.items() if is_open]:
        start = way * max(way * end for end in [value, *ends])
        arrow = {"arrowstyle": "<-", "color": colour}  # its head is at the text's place
        ax.annotate("", (start, place), xytext=(way * 24, 0), textcoords="offset points", arrowprops=arrow)


_SIGNED = ("start", "slope", "asymptote")
