"""Plots: each takes `ax=None`, draws what was measured, and returns the Axes."""

import matplotlib.pyplot as plt
import numpy as np

# The first four are Okabe and Ito's (2008). All ten can be told apart by colour-blind eyes too, and seen on white.
MANY = "#0072b2 #d55e00 #009e73 #cc79a7 #761400 #143b4e #894e3b #766276 #4e009d #b176ff".split()
COLOURS = MANY[:6]
plt.rcParams["axes.prop_cycle"] = plt.cycler(color=MANY)  # for what pandas draws beside them: its green looks orange


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


def plot_pictures(split, rows=range(12), *, titles=None, columns=6, fig=None):
    """Draw pictures of a split with their class names.

    Args:
        split: `Split`.
        rows: Which pictures.
        titles: A title for each; the class names if `None`.
        columns: Pictures in a row, at most.
        fig: Figure to draw on; a new one if `None`.

    Returns:
        Array of Axes.
    """
    rows = list(rows)
    titles = [split.table["class"].iloc[i] for i in rows] if titles is None else titles
    columns = min(columns, max(1, len(rows)))  # few pictures want no empty places beside them
    height = max(1, -(-len(rows) // columns))
    fig = plt.figure(figsize=(1.2 * columns, 1.4 * height), layout="constrained") if fig is None else fig
    axes = np.atleast_1d(fig.subplots(height, columns, squeeze=False)).ravel()
    for ax in axes:
        ax.axis("off")
    for ax, row, title in zip(axes, rows, titles, strict=False):
        ax.imshow(split.picture(row))
        ax.set_title(title, fontsize=9)
    return axes


def plot_label_curve(results, *, by="strategy", value="accuracy", chance=None, ax=None):
    """Draw a measure over the number of labels: the mean of the seeds in its band.

    Args:
        results: `pandas.DataFrame`, a row a run, with columns labels, seed, `by` and `value`.
        by: Column that tells the lines apart.
        value: Column that is drawn.
        chance: What guessing gives, drawn as a dotted line, if it is given.
        ax: Axes to draw on; new ones if `None`. The band reaches from the worst seed to the best.

    Returns:
        The Axes.
    """
    ax = _axes(ax)
    if chance is not None:
        ax.axhline(chance, color="0.5", linestyle=":", label="chance")
    _bands(ax, results, "labels", by=by, value=value)
    ticks = sorted(results["labels"].unique())
    ax.set_xscale("log")
    ax.set_xticks(ticks, ticks)
    ax.set_xticks([], minor=True)
    ax.set(xlabel="labelled pictures", ylabel=value)
    ax.legend(frameon=False)
    return ax


def _bands(ax, results, over, *, by, value):
    """Draw a line for each group, the mean of its runs in a band from the worst to the best; return how many."""
    groups = list(results.groupby(by, sort=False))
    for colour, marker, (name, rows) in zip(COLOURS, "os^Dv<", groups, strict=False):
        spread = rows.groupby(over)[value].agg(["mean", "min", "max"])
        ax.plot(spread.index, spread["mean"], marker=marker, color=colour, label=name)
        ax.fill_between(spread.index, spread["min"], spread["max"], color=colour, alpha=0.15, linewidth=0)
    return len(groups)


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


def plot_learning_rate(found, *, ax=None):
    """Draw the loss over rising learning rates, and the rate that was chosen.

    Args:
        found: `FoundRate` from `find_learning_rate`.
        ax: Axes to draw on; new ones if `None`.

    Returns:
        The Axes.
    """
    ax, table = _axes(ax), found.table
    ax.plot(table["learning_rate"], table["loss"], ".", color="0.7", markersize=4, label="one step")
    ax.plot(table["learning_rate"], table["smoothed"], color=COLOURS[0], label="smoothed")
    ax.axvline(found.rate, color=COLOURS[1], linestyle="--", label=f"try {found.rate:.1e}")
    ax.set_ylim(0, 1.5 * np.nanquantile(table["smoothed"], 0.9))
    ax.set(xscale="log", xlabel="learning rate", ylabel="training loss")
    ax.legend(frameon=False)
    return ax


def plot_stages(table, *, ax=None):
    """Draw a `trainable_table`: what each stage holds and may train, or how far it has moved.

    Args:
        table: `pandas.DataFrame` from `trainable_table`; with a reference, the way is drawn.
        ax: Axes to draw on; new ones if `None`.

    Returns:
        The Axes.
    """
    ax, places = _axes(ax, (6, 0.6 + 0.35 * len(table))), np.arange(len(table))
    if "moved" in table:
        ax.barh(places, table["moved"], color=COLOURS[1])
        ax.set(xlabel="moved (share of the weights' length)")
    else:
        ax.barh(places, table["parameters"], color="0.85", label="all")
        ax.barh(places, table["trainable"], color=COLOURS[0], label="trained")
        ax.set(xlabel="parameters")
        ax.legend(frameon=False)
    ax.set_yticks(places, table.index)
    ax.invert_yaxis()
    return ax


def plot_feature_maps(picture, maps, *, fig=None):
    """Draw a picture and, in a row for each stage, the feature maps that the stage made of it.

    Args:
        picture: `(height, width, 3)` in 0..255.
        maps: Dict from stage name to `(height, width, channels)`; every stage with as many channels.
        fig: Figure to draw on; a new one if `None`.

    Returns:
        Array of Axes `(stages, 1 + channels)`. Each map has its own grey scale, dark to light.
    """
    columns = 1 + next(iter(maps.values())).shape[-1]
    fig = plt.figure(figsize=(1.1 * columns, 1.25 * len(maps)), layout="constrained") if fig is None else fig
    axes = fig.subplots(len(maps), columns, squeeze=False)
    for row, (stage, features) in zip(axes, maps.items(), strict=True):
        _picture_on(row[0], picture, f"{stage}: {features.shape[0]} x {features.shape[1]}")
        for channel, ax in enumerate(row[1:]):
            ax.imshow(features[..., channel], cmap="gray", interpolation="nearest")
            ax.set(xticks=[], yticks=[])  # the frame stays: a white map would vanish without it
    return axes


def plot_neighbours(split, neighbours, *, fig=None):
    """Draw pictures and their neighbours, a row for each way of measuring nearness.

    Args:
        split: `Split`.
        neighbours: Dict from a row's name to rows of the split: first the picture asked
            about, then its neighbours, nearest first.
        fig: Figure to draw on; a new one if `None`.

    Returns:
        Array of Axes `(names, 1 + neighbours)`.
    """
    columns = max(len(rows) for rows in neighbours.values())
    fig = plt.figure(figsize=(0.95 * columns, 1.15 * len(neighbours)), layout="constrained") if fig is None else fig
    axes = fig.subplots(len(neighbours), columns, squeeze=False)
    for line, (name, rows) in zip(axes, neighbours.items(), strict=True):
        titles = [f"{name}:", *(split.classes[label] for label in split.labels[list(rows[1:])])]
        for ax in line:
            ax.axis("off")
        for ax, row, title in zip(line, rows, titles, strict=False):
            _picture_on(ax, split.picture(row), title)
    return axes


def _picture_on(ax, picture, title):
    ax.imshow(np.asarray(picture).astype("uint8"), interpolation="nearest")
    ax.set_title(title, fontsize=9)
    ax.axis("off")


def plot_embedding(points, labels, *, fig=None):
    """Draw maps of pictures, a column for each embedding and a row for each way of colouring them.

    Args:
        points: Dict from a column's name to `(n, 2)`, such as the first two principal components.
        labels: `pandas.DataFrame`, a row a picture and a column of names for each row of maps.
        fig: Figure to draw on; a new one if `None`.

    Returns:
        Array of Axes `(label columns, embeddings)`. Axes have no units: only nearness is to be read.

    Raises:
        ValueError: If a column has more than 10 names.
    """
    for column in labels:
        _check_names(column, labels[column].nunique())
    height, width = labels.shape[1], len(points)
    fig = plt.figure(figsize=(2.6 * width + 1.2, 2.4 * height), layout="constrained") if fig is None else fig
    axes = fig.subplots(height, width, squeeze=False)
    for line, column in zip(axes, labels, strict=True):
        for ax, (name, xy) in zip(line, points.items(), strict=True):
            _scatter(ax, xy, labels[column])
            ax.set_title(f"{name}, by {column}", fontsize=9)
        line[-1].legend(frameon=False, fontsize=8, markerscale=2, loc="center left", bbox_to_anchor=(1, 0.5))
    return axes


def _check_names(column, count):
    if count > len(MANY):
        raise ValueError(
            f"at most {len(MANY)} names can be told apart by colour. "
            f"Received: {count} in {column!r}; draw fewer or group them."
        )


def _scatter(ax, xy, names):
    for colour, name in zip(MANY, sorted(names.unique()), strict=False):
        rows = (names == name).to_numpy()
        ax.scatter(*xy[rows].T, s=6, color=colour, alpha=0.6, linewidths=0, label=name)
    ax.set(xticks=[], yticks=[])


def plot_by_stage(results, *, by="weights", value="accuracy", line="chance", fig=None):
    """Draw a measure over the stages, a panel for each target: the mean of the seeds in its band.

    Args:
        results: `pandas.DataFrame`, a row a run, with columns target, stage, seed, `by` and
            `value`.
        by: Column that tells the lines apart.
        value: Column that is drawn.
        line: Column that is drawn as a dotted line if there is one, such as chance.
        fig: Figure to draw on; a new one if `None`. The band reaches from the worst seed to the best.

    Returns:
        Array of Axes.
    """
    targets = results.groupby("target", sort=False)
    fig = plt.figure(figsize=(2.5 * len(targets) + 0.5, 2.7), layout="constrained") if fig is None else fig
    axes = fig.subplots(1, len(targets), squeeze=False)[0]
    for ax, (target, rows) in zip(axes, targets, strict=True):
        for colour, marker, (name, runs) in zip(COLOURS, "os^Dv<", rows.groupby(by, sort=False), strict=False):
            spread = runs.groupby("stage", sort=False)[value].agg(["mean", "min", "max"])
            ax.plot(spread.index, spread["mean"], marker=marker, color=colour, label=name)
            ax.fill_between(spread.index, spread["min"], spread["max"], color=colour, alpha=0.15, linewidth=0)
        if line in rows:
            ax.axhline(rows[line].mean(), color="0.5", linestyle=":", label=line)
        ax.set_title(target, fontsize=10)
        ax.tick_params(axis="x", rotation=60)
    axes[0].set_ylabel(value)
    axes[-1].legend(frameon=False, fontsize=8)
    return axes


def plot_search(study, *, fig=None):
    """Draw what `search_phase` tried: the log loss trial by trial, and over each setting.

    Args:
        study: `optuna.Study` from `search_phase`.
        fig: Figure to draw on; a new one if `None`.

    Returns:
        Array of Axes, the trials first, then a panel a setting. The best trial is marked.
    """
    tried = study.trials_dataframe(attrs=("number", "value", "params", "state")).query("state == 'COMPLETE'")
    settings = [column for column in tried if column.startswith("params_")]
    named = [column for column in settings if tried[column].dtype == object]
    tried[named] = tried[named].astype(str)  # a choice may be None beside names
    columns = 1 + len(settings)
    fig = plt.figure(figsize=(2.3 * columns + 0.4, 2.5), layout="constrained") if fig is None else fig
    axes = fig.subplots(1, columns, sharey=True, squeeze=False)[0]
    best = tried.loc[[tried["value"].idxmin()]]
    axes[0].step(tried["number"] + 1, tried["value"].cummin(), where="post", color="0.6", label="best so far")
    for ax, column in zip(axes, ["number", *settings], strict=True):
        for rows, colour, size in ((tried, COLOURS[0], 16), (best, COLOURS[1], 60)):
            ax.scatter(rows[column] + 1 if column == "number" else rows[column], rows["value"], s=size, color=colour)
        ax.set(xlabel="trial" if column == "number" else column.removeprefix("params_").replace("_", " "))
        if column != "number" and getattr(study.best_trial.distributions[column.removeprefix("params_")], "log", False):
            ax.set_xscale("log")
    axes[0].set(ylabel="validation log loss")
    axes[0].legend(frameon=False, fontsize=8)
    return axes
