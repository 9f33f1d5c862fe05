"""The page that `tlteach fit` leaves: a sentence for each thing, tables with intervals, pictures with words."""

import base64
import html
import io

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from tlteach import __version__
from tlteach._alt import describe
from tlteach._report_measures import ENOUGH, FOUND, PER_BIN
from tlteach.activation_maps import class_activation_maps
from tlteach.evaluation import final_dense
from tlteach.frontends import holds_sound
from tlteach.plots import COLOURS, plot_run
from tlteach.plots_evaluation import (
    in_lines,
    plot_activation_maps,
    plot_calibration,
    plot_confusion,
    plot_mistakes,
    plot_precision_recall,
    plot_roc,
)

MEASURES = ["sensitivity", "specificity", "precision", "AUC", "average_precision"]
MAPS = 6  # maps in a row
LETTERS_OF_MAP = 19  # of a caption in a line over one of these
NEAR = 0.1  # logarithm of a temperature, below which it changes no probability that one would notice
MANY = 1000  # examples from which on a third decimal can tell something
FITS = 3  # columns of a table that stand side by side on a telephone
NOTHING = "none"  # of a measure that there is nothing to count for

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }}
h1, p, li {{ overflow-wrap: anywhere; }}
img {{ max-width: 100%; background: white; border-radius: 4px; }}
table {{ border-collapse: collapse; font-size: .93em; margin-bottom: 1rem; }}
td, th {{ padding: .2rem .5rem; text-align: right; vertical-align: bottom; }} td {{ white-space: nowrap; }}
th:first-child, td:first-child {{ text-align: left; }}
.texts td, .measures td {{ white-space: normal; }}
.hint {{ display: none; margin: 0; font-size: .85rem; }}
.wide {{ overflow-x: auto; }} .wide img {{ max-width: none; width: max(100%, 36rem); }}
.figures img {{ max-width: min(100%, 30rem); }}
.figures {{ display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; }}
@media (max-width: 40rem) {{
  .hint {{ display: block; }} .measures table {{ font-size: .8rem; line-height: 1.3; }}
  .measures td, .measures th {{ padding: .2rem .25rem; }}
  .measures th:first-child {{ position: sticky; left: 0; background: Canvas; }}
  .measures th:first-child {{ min-width: 4.5rem; overflow-wrap: anywhere; }}
}}
</style>
<h1>{title}</h1>
<p><strong>{accuracy}</strong></p><p>{decision}</p>{notes}
{sections}
<p><small>{data} {backbone}, seed {seed}.
A model to learn from, not to decide about people by.
tlteach {version}, Keras {keras} on {backend}; {seconds:.1f} s.</small></p>
</html>
"""


def page(fit, measured, said):
    """Write the page.

    Args:
        fit: `Fit` from `fit_splits`.
        measured: `Measured` of its report.
        said: How good the model is, in a sentence.

    Returns:
        The page, a string.
    """
    splits, kind = fit.splits, _kind(fit.splits.test)
    sections = [
        _row(_overview(fit)),
        _classes(fit, measured),
        _thresholds(fit, measured, kind),
        _calibration(fit, measured.calibration, kind),
        *(_part(column, table) for column, table in measured.parts.items()),
        _not_compared(measured.not_compared),
        _mistakes(fit, kind),
        _maps(fit) if kind == "pictures" else "",
    ]
    return _PAGE.format(
        title=html.escape(f"{splits.name}: {' or '.join(map(str, splits.classes))}"),
        accuracy=html.escape(said),
        notes="".join(f"<p>{html.escape(note)}</p>" for note in fit.notes),
        decision=html.escape(fit.decision),
        sections="\n".join(section for section in sections if section),
        data=f"{splits.train.num_examples} for training, {splits.val.num_examples} for validation.",
        backbone=html.escape(fit.backbone),
        seed=fit.seed,
        version=__version__,
        keras=keras.version(),
        backend=keras.backend.backend(),
        seconds=fit.seconds,
    )


def _kind(split):
    return "texts" if split.holds_texts else "recordings" if holds_sound(split) else "pictures"


def _overview(fit):
    yield plot_confusion(fit.report).figure, "Confusion matrix: true classes in rows, predicted ones in columns"
    if fit.run is not None:
        for metric in ("accuracy", "loss"):
            yield plot_run(fit.run, metric=metric).figure, f"Training and validation {metric} over the epochs"


def _classes(fit, measured):
    """Each class against the others, by the likeliest class and by both curves."""
    if measured.per_class.empty:
        return ""
    names = measured.per_class["AUC"].nsmallest(len(COLOURS)).index if len(measured.curves) > len(COLOURS) else None
    drawn = {name: both for name, both in measured.curves.items() if names is None or name in names}
    some = "" if names is None else f" Drawn are the {len(COLOURS)} with the lowest AUC."
    over = f", drawn over the values of {html.escape(fit.report.groups)}," if fit.report.groups else ""
    return f"""<h2>Each class against the others</h2>
<p>With 95 % intervals{over}. Sensitivity is the share of a class that is found, specificity the share of the others
that is not taken for it, precision the share of what was called so that is so. AUC is the chance that one of the class
looks more like it than one of the others; average precision is the precision over all thresholds, and tells more
than AUC of a class that is rare.{some}</p>
{_table(measured.per_class, MEASURES, {"n": "n"})}
{_row(_curves(drawn))}"""


def _curves(curves):
    rocs, precisions = ({str(name): both[i] for name, both in curves.items()} for i in (0, 1))
    yield plot_roc(rocs).figure, "ROC curve of each class against the others"
    yield plot_precision_recall(precisions).figure, "Precision-recall curve of each class against the others"


def _thresholds(fit, measured, kind):
    """What is found, and at what price, where a threshold decides instead of the likeliest class."""
    head = "<h2>If few may be missed</h2>"
    if fit.validated is None:
        return f"{head}<p>No threshold was chosen, as the model learned from the validation {kind} too.</p>"
    few = ", ".join(map(str, measured.too_few))
    why = f"<p>No threshold for {html.escape(few)}: it needs {ENOUGH} validation {kind} of the class and of others.</p>"
    why = why if few else ""
    if measured.thresholds.empty:
        return f"{head}{why}" if why else ""
    return f"""{head}
<p>{_which(measured.thresholds.index, kind)} It is the highest at which {html.escape(fit.validated_by)} found
{FOUND:.0%} of the class on validation. Decide by that of the class of which few may be missed, and by that one alone.
The table tells what each finds among the test {kind}, with 95 % intervals.</p>
{_table(measured.thresholds, MEASURES[:2], {"threshold": "threshold", "chosen_by": "n on validation"})}
{why}"""


def _which(classes, kind):
    """How many thresholds there are, and what one decides."""
    many = f"There are {len(classes)} thresholds, one for each class in the table"
    told = many if len(classes) > 1 else f"There is one threshold, that of {html.escape(str(classes[0]))}"
    return (
        f"{told}: a {kind[:-1]} is called that class where the probability of the class is at least the threshold, "
        "however likely the others are."
    )


def _calibration(fit, found, kind):
    head, bins = "<h2>How sure, and how often right</h2>", len(found.table)
    if bins < 2:
        return f"{head}<p>That takes more test {kind} to tell than {fit.report.n}: {2 * PER_BIN} at least.</p>"
    tables = {"as it is": found.table}
    told = f"""<p>The probabilities are {found.error:.1%} off on average (expected calibration error, {bins} bins);
those of a perfectly calibrated model would seem {found.luck:.1%} off, as there are only {fit.report.n} {kind}.
Below the dotted line it is too sure of itself.</p>"""
    if found.temperature is None:
        told += f"<p>{html.escape(found.why_not)}</p>"
    else:
        if abs(np.log(found.temperature)) >= NEAR:
            tables[f"at temperature {found.temperature:.2f}"] = found.scaled_table
        told += f"<p>{_temperature(fit, found, kind)}</p>"
    figure = plot_calibration(tables).figure
    return f"{head}{told}{_figure(figure, 'Accuracy against the probability that the model gave')}"


def _temperature(fit, found, kind):
    if abs(np.log(found.temperature)) < NEAR:
        return (
            f"On validation {html.escape(fit.validated_by)} asked for the temperature {found.temperature:.2f}, which "
            "is as good as 1: there is nothing to correct that validation could show."
        )
    low, high = found.change
    sure = "too sure" if found.temperature > 1 else "not sure enough"
    gain = "is less" if high < 0 else "is more" if low > 0 else "cannot be told to change"
    return (
        f"On validation {html.escape(fit.validated_by)} was {sure}: its log loss is least at the temperature "
        f"{found.temperature:.2f}. With it the error on the test {kind} goes from {found.error:.1%} to "
        f"{found.scaled_error:.1%}, and the log loss from {found.loss:.3f} to {found.scaled_loss:.3f}: it {gain} "
        f"(95 % interval of the change {low:+.3f} to {high:+.3f}). model.keras is without it; to have it, raise each "
        f"probability to the power {1 / found.temperature:.2f} and divide by their sum."
    )


def _part(column, table):
    counts = {name: name for name in ("n", "groups") if name in table}
    told = table.rename(columns={"low": "accuracy_low", "high": "accuracy_high"})
    return (
        f"<h2>By {html.escape(str(column))}</h2><p>The worst first, with 95 % intervals; of many small parts the worst "
        f"looks bad by chance alone.</p>{_table(told, ['accuracy'], counts)}"
    )


def _not_compared(columns):
    if not columns:
        return ""
    told = ", ".join(f"{name} ({count} value{'' if count == 1 else 's'})" for name, count in columns.items())
    return f"<p>Not compared, for too few or too many values: {html.escape(told)}.</p>"


def _mistakes(fit, kind):
    head, worst = "<h2>Wrongly classified, the surest first</h2>", fit.report.mistakes().head(12)
    if worst.empty:
        return f"{head}<p>None.</p>"
    if kind == "texts":
        told = worst.assign(text=worst["text"].str.slice(0, 600))[["text", "class", "predicted", "probability"]]
        return f'{head}<div class="wide texts">{told.round(3).to_html(index=False, border=0)}</div>'
    axes = plot_mistakes(fit.report, fit.splits.test, most=12)
    named = "".join(f"<li>{html.escape(str(path))}</li>" for path in worst["path"])
    return f"{head}{_wide(axes[0].figure, f'The {kind} named below')}<ol>{named}</ol>"


def _maps(fit):
    """Maps of some right answers, drawn by lot, and of the surest mistakes; or why there are none."""
    head, told = "<h2>Where in the picture</h2>", fit.report.predictions
    right = np.flatnonzero(told["class"] == told["predicted"])
    lot = np.sort(np.random.default_rng(0).permutation(right)[:MAPS])
    chosen = {"Right, drawn by lot": lot, "The surest mistakes": fit.report.mistakes().index[:MAPS].to_numpy()}
    try:
        found = {words: (rows, _evidence(fit, rows)) for words, rows in chosen.items() if len(rows)}
    except ValueError:
        return (
            f"{head}<p>No maps of the evidence: they are exact only for a head that averages one feature map, and this "
            "one reads several stages, or reads them otherwise.</p>"
        )
    drawn = "".join(f"<p>{words}:</p>{_map_of(fit, words, *both)}" for words, both in found.items())
    height, width = next(iter(found.values()))[1].shape[1:]
    return (
        f"{head}<p>The evidence for the answer, against what it is or else against the next likeliest class, divided "
        f"exactly among the {height} x {width} places of the model's last feature map, and nothing finer can be read "
        f"from it. It tells where the model found it, not why.</p>{drawn}"
    )


def _evidence(fit, rows):
    """Maps of the predicted class less those of its rival; the mean of each is the log odds between the two."""
    few, told, names = fit.splits.test.take(rows), fit.report.predictions.iloc[rows], list(fit.report.classes)
    answer, truth = (np.array([names.index(name) for name in told[column]]) for column in ("predicted", "class"))
    second = told[[f"p_{name}" for name in names]].to_numpy().argsort(1)[:, -2]
    rival = np.where(answer == truth, second, truth)
    maps = [class_activation_maps(fit.model, few, target=which) for which in (answer, rival)]
    bias = sum(np.asarray(w) for w in final_dense(fit.model)[1].get_weights()[1:]) + np.zeros(len(names))
    return maps[0] - maps[1] + (bias[answer] - bias[rival])[:, None, None]


def _map_of(fit, words, rows, maps):
    told = fit.report.predictions.iloc[rows]
    pairs = zip(told["class"], told["predicted"], strict=True)
    titles = [str(true) if true == called else f"is {true},\ncalled {called}" for true, called in pairs]
    titles = [in_lines(title, LETTERS_OF_MAP) for title in titles]
    figure = plot_activation_maps(fit.splits.test.take(rows), maps, titles=titles)[0].figure
    return _wide(figure, f"Maps of the evidence. {words}")


def _table(table, measures, plain):
    """A table whose cells hold a measure and its interval, after the plain columns."""
    cells = {told: [_short(value) for value in table[name]] for name, told in plain.items()}
    digits = 3 if "n" in table and table["n"].sum() >= MANY else 2
    for name in measures:
        columns = [table[name], table[f"{name}_low"], table[f"{name}_high"]]
        cells[name.replace("_", " ")] = [_interval(*found, digits) for found in zip(*columns, strict=True)]
    told = pd.DataFrame(cells, index=table.index)
    told.columns.name, told.index.name = told.index.name, None  # one row of headings
    return (
        f'{_hint("of the table") if len(cells) > FITS else ""}<div class="wide measures">{told.to_html(border=0)}</div>'
    )


def _hint(what):
    """What a telephone shows above a thing that is wider than it."""
    return f'<p class="hint">There is more {what} to the right →</p>'


def _interval(value, low, high, digits):
    between = f"({low:.{digits}f} to {high:.{digits}f})".replace(" ", "\N{NO-BREAK SPACE}")
    return f"{value:.{digits}f} {between}" if pd.notna(value) else NOTHING


def _short(value):
    return f"{value:.2g}" if isinstance(value, float) else value


def _row(figures):
    return f'<div class="figures">{"".join(_figure(*drawn) for drawn in figures)}</div>'


def _wide(figure, words):
    """A figure of many columns: on a telephone it can be moved sideways, as it would be too small to see."""
    return f'{_hint("of this")}<div class="wide">{_figure(figure, words)}</div>'


def _figure(figure, words):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    told = html.escape(f"{words}. {describe(figure)}")
    plt.close(figure)
    return f'<img alt="{told}" src="data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}">'
