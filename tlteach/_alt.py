"""Alternative text: what a figure shows, in words, for those who hear a page or whose pictures did not load.

The words come from the figure itself when it is displayed, so that they never tell of another run.
"""

import sys
import textwrap

MOST = 1000  # characters
LISTED = 16  # names or values in a row
_NAMED = ("FixedFormatter", "FuncFormatter", "StrCategoryFormatter")  # of axes whose ticks were given by name

# The page of a notebook as nbconvert makes it, but for the words, which its own template leaves out.
_TEMPLATE = """{%- extends 'lab/index.html.j2' -%}
{%- block data_png scoped -%}
{%- set words = output | get_metadata('alt', 'image/png') or 'A picture' -%}
{{ super() | replace('<img ', '<img alt="' ~ (words | escape_html) ~ '" ', 1) }}
{%- endblock -%}
"""


def describe(figure):
    """Say what a figure shows: the kind of plot, its axes with their ranges, and what each line or bar is called.

    Args:
        figure: A Matplotlib Figure.

    Returns:
        One line of text.

    Example:
        >>> import matplotlib.pyplot as plt
        >>> ax = plt.figure().subplots()
        >>> _ = ax.plot([1, 2, 3], [0.5, 0.7, 0.9], label="fine-tuned")
        >>> _ = ax.set(xlabel="epoch", ylabel="accuracy")
        >>> describe(ax.figure)
        'Plot of accuracy (0.5 to 0.9) over epoch (1 to 3): fine-tuned from 0.5 to 0.9.'
    """
    shown = [ax for ax in figure.axes if ax.get_visible() and (ax.has_data() or ax.texts)]
    pictures = [ax for ax in shown if ax.images and not _has_axis(ax)]
    told = [_pictures(pictures)] if pictures else []
    told += [_colours(ax) if hasattr(ax, "_colorbar") else _panel(ax) for ax in shown if ax not in pictures]
    return textwrap.shorten(" ".join(told) or "An empty figure.", MOST, placeholder=" ...")


def describe_in_notebooks():
    """In a notebook, give every figure its description as the alternative text of its picture."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None and getattr(shell, "display_formatter", None) is not None:
        shell.display_formatter.mimebundle_formatter.for_type_by_name("matplotlib.figure", "Figure", _bundle)


def _bundle(figure, **_):
    """What IPython adds to a figure's own formats: nothing but the words beside its PNG picture."""
    return {}, {"image/png": {"alt": describe(figure)}}


def page_of(notebook):
    """Make the HTML page of a notebook that was run, with the words of its pictures.

    Args:
        notebook: A notebook node.

    Returns:
        The page, a string.
    """
    from jinja2 import DictLoader
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(extra_loaders=[DictLoader({"with_words": _TEMPLATE})], template_file="with_words")
    return exporter.from_notebook_node(notebook)[0]


def _has_axis(ax):
    return ax.axison and bool(len(ax.get_xticks()) or len(ax.get_yticks()))


def _pictures(axes):
    titles = [text for text in (_plain(ax.get_title()) for ax in axes) if text]
    return f"{len(axes)} picture{'s' if len(axes) > 1 else ''}{f': {_listed(titles)}' if titles else ''}."


def _panel(ax):
    """One plot in a sentence."""
    title, series = _plain(ax.get_title()), [*_bars(ax), *_lines(ax), *_names(ax)]
    told = [part for part in (_axis(ax, "y"), _axis(ax, "x")) if part] if _has_axis(ax) else []
    written = " ".join(text for text in (_plain(text.get_text()) for text in ax.texts) if text)
    parts = [f"{title}: " if title else "", _kind(ax), f" of {' over '.join(told)}" if told else ""]
    parts += [f": {', '.join(series)}" if series else "", f"; written in it: {written}" if written else ""]
    return f"{''.join(parts).rstrip('.')}."


def _kind(ax):
    if ax.images:
        return "Table of colours" if ax.texts else "Picture"
    if ax.texts and not ax.axison:
        return "Text"
    marked = [line for line in ax.lines if line.get_linestyle() not in ("None", "")]
    return "Bars" if any(_is_bars(c) for c in ax.containers) else "Plot" if marked else "Points"


def _axis(ax, which):
    """What an axis is called and reaches over; empty where it says neither."""
    axis, (low, high) = getattr(ax, f"{which}axis"), getattr(ax.dataLim, f"interval{which}")
    label, names = _plain(axis.get_label().get_text()), _tick_names(axis)
    if names and not all(_is_number(name) for name in names):
        return f"{label} ({_listed(names)})" if label else _listed(names)
    if names:
        return f"{label} ({names[0]} to {names[-1]})"
    return f"{label} ({_number(low)} to {_number(high)})" if label and low <= high else label


def _tick_names(axis):
    if type(axis.get_major_formatter()).__name__ not in _NAMED:
        return []
    return [name for name in (_plain(tick.get_text()) for tick in axis.get_ticklabels()) if name]


def _is_bars(container):
    return getattr(container, "orientation", None) is not None and hasattr(container, "patches")


def _bars(ax):
    """The length of each bar; the axis of their names is told elsewhere, in the same order."""
    lengths = {}
    for container in (c for c in ax.containers if _is_bars(c)):
        along = "get_width" if container.orientation == "horizontal" else "get_height"
        lengths.setdefault(_name(container), []).extend(_number(getattr(bar, along)()) for bar in container)
    for name, numbers in lengths.items():
        yield f"{name} {_listed(numbers)}".strip()


def _lines(ax):
    """Where each named line begins and ends; without names, the points."""
    named = [line for line in ax.lines if _name(line)]
    for line in named:
        values = [float(value) for value in line.get_ydata() if value == value]  # without NaN: not measured
        first, last = (_number(values[i]) if values else "nothing" for i in (0, -1))
        yield f"{_name(line)} at {first}" if first == last else f"{_name(line)} from {first} to {last}"
    errorbars = [c for c in ax.containers if hasattr(c, "has_xerr")]
    if named or errorbars or not any(_is_bars(c) for c in ax.containers):
        across = "get_xdata" if _tick_names(ax.yaxis) else "get_ydata"
        bare = [c.lines[0] for c in errorbars] or ([] if named else list(ax.lines))
        labels = [_name(c) for c in errorbars] or [""] * len(bare)
        for name, line in zip(labels, bare, strict=True):
            yield f"{name} {_listed([_number(float(value)) for value in getattr(line, across)()])}".strip()


def _names(ax):
    """Clouds of points and bands that have a name."""
    return [_name(thing) for thing in ax.collections if _name(thing)]


def _name(thing):
    name = _plain(str(thing.get_label()))
    return "" if name.startswith("_") or name == "None" else name


def _colours(ax):
    along = ax.xaxis if ax._colorbar.orientation == "horizontal" else ax.yaxis
    names = [name for name in (_plain(tick.get_text()) for tick in along.get_ticklabels()) if name]
    label = _plain(along.get_label().get_text())
    return f"Scale of colours{f', {label}' if label else ''}{f': {_listed(names)}' if names else ''}."


def _listed(names):
    """Names with a comma between them, equal neighbours counted, the last left out where there are many."""
    runs = []
    for name in names:
        if runs and runs[-1][0] == name:
            runs[-1][1] += 1
        else:
            runs.append([name, 1])
    told = [name if count == 1 else f"{name} ({count} times)" for name, count in runs]
    return ", ".join(told[:LISTED]) + (f" and {len(told) - LISTED} more" if len(told) > LISTED else "")


def _plain(text):
    return " ".join(text.replace("\N{MINUS SIGN}", "-").split())


def _is_number(text):
    return text.replace(",", "").replace(".", "").replace("-", "").isdigit()


def _number(value):
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
