"""Alternative texts: they say what a figure draws, and reach the notebook, its page and the report."""

import html
import re

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest
from conftest import small_splits

import tlteach as tl
from tlteach._alt import describe, page_of


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_lines_are_told_with_their_ends_and_the_axes_with_their_ranges():
    rows = [
        dict(labels=n, seed=s, strategy=w, accuracy=n / 100 + s / 10) for n in (10, 40) for s in (0, 1) for w in "ab"
    ]
    told = describe(tl.plot_label_curve(pd.DataFrame(rows)).figure)
    assert (
        told
        == "Plot of accuracy (0.1 to 0.5) over labelled pictures (10 to 40): a from 0.15 to 0.45, b from 0.15 to 0.45."
    )


def test_what_was_not_measured_is_left_out():
    ax = plt.figure().subplots()
    ax.plot([0, 1, 2], [np.nan, 0.5, 0.7], label="training")
    ax.plot([0, 1, 2], [np.nan] * 3, label="other")
    told = describe(ax.figure)
    assert "training from 0.5 to 0.7" in told and told.endswith("other at nothing.")


def test_bars_are_told_with_their_names_and_lengths():
    table = pd.DataFrame(
        {"parameters": [10, 2000], "trainable": [0, 2000], "moved": [0, 0.5]}, index=["block1", "head"]
    )
    assert describe(tl.plot_stages(table).figure) == (
        "Bars of block1, head over moved (share of the weights' length) (0 to 0.5): 0, 0.5."
    )
    figure = tl.plot_stages(table.drop(columns="moved")).figure
    assert describe(figure).endswith(": all 10, 2,000, trained 0, 2,000.")


def test_points_with_intervals_are_told_along_the_axis_that_has_no_names():
    table = pd.DataFrame({"accuracy": [0.75, 0.5], "low": [0.7, 0.4], "high": [0.8, 0.6], "n": 9}, index=["A", "B"])
    told = describe(tl.plot_accuracy_by(table.rename_axis("scanner")).figure)
    assert told.startswith("Points of scanner (A (9 pictures), B (9 pictures)) over accuracy") and told.endswith(
        "0.75, 0.5."
    )


def test_pictures_are_counted_and_equal_titles_once():
    titles = ["cat", "cat", "dog", "a\nb"]
    figure = tl.plot_pictures(small_splits().train, range(4), titles=titles)[0].figure
    assert describe(figure) == "4 pictures: cat (2 times), dog, a b."


def test_what_is_written_in_a_figure_is_told_and_its_scale_of_colours():
    words = pd.DataFrame({"word": ["A", "fine", "film."], "evidence": [0.0, 1.5, 0.2]})
    told = describe(tl.plot_word_evidence(words).figure)
    assert told == "Text; written in it: A fine film. Scale of colours: against -1.5, 0, for 1.5."
    assert describe(plt.figure()) == "An empty figure."


def test_a_crowded_figure_is_told_in_few_words():
    ax = plt.figure().subplots()
    for i in range(200):
        ax.plot([0, 1], [0, i], label=f"line {i}")
    told = describe(ax.figure)
    assert len(told) <= 1000 and told.endswith("...")


def test_a_figure_in_a_notebook_has_words_beside_its_picture(monkeypatch):
    import IPython
    from IPython.core.interactiveshell import InteractiveShell

    from tlteach import _alt

    shell = InteractiveShell()
    monkeypatch.setattr(IPython, "get_ipython", lambda: shell)
    _alt.describe_in_notebooks()
    from IPython.core.pylabtools import select_figure_formats

    select_figure_formats(shell, {"png"})
    ax = plt.figure().subplots()
    ax.plot([0, 1], [2, 3], label="a line")
    data, metadata = shell.display_formatter.format(ax.figure)
    assert data["image/png"] and metadata["image/png"]["alt"] == describe(ax.figure)
    InteractiveShell.clear_instance()


def test_the_page_of_a_notebook_has_the_words():
    output = nbformat.v4.new_output(
        "display_data", {"image/png": "aGVsbG8="}, metadata={"image/png": {"alt": 'a "line" < b'}}
    )
    bare = nbformat.v4.new_output("display_data", {"image/png": "aGVsbG8="})
    cell = nbformat.v4.new_code_cell("1", outputs=[output, bare])
    pictures = re.findall(r"<img[^>]*>", page_of(nbformat.v4.new_notebook(cells=[cell])))
    told = [html.unescape(re.search(r"alt=(\"[^\"]*\"|'[^']*')", picture)[1][1:-1]) for picture in pictures]
    assert told == ['a "line" < b', "A picture"]


def test_a_picture_without_numbers_is_called_one():
    ax = plt.figure().subplots()
    ax.imshow(np.zeros((2, 2)))
    ax.axis("off")
    assert describe(ax.figure) == "1 picture."
