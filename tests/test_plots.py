"""Plots of what a backbone sees: they show what they were given, in its order, and compute nothing."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from conftest import small_splits
from matplotlib.colors import to_rgba

import tlteach as tl


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_feature_maps_are_drawn_beside_their_picture():
    picture, random = small_splits().train.picture(0), np.random.default_rng(0)
    maps = {"early": random.random((8, 8, 3)), "late": random.random((2, 2, 3))}
    axes = tl.plot_feature_maps(picture, maps)
    assert axes.shape == (2, 4) and axes[1, 0].get_title() == "late: 2 x 2"
    assert np.array_equal(axes[0, 0].images[0].get_array(), picture)
    assert np.array_equal(axes[1, 3].images[0].get_array(), maps["late"][..., 2])


def test_neighbours_stand_in_their_order():
    split = small_splits().train
    axes = tl.plot_neighbours(split, {"near": [2, 5, 0], "far": [2, 1]})
    assert axes.shape == (2, 3)
    drawn = [ax.images[0].get_array() for ax in axes[0]]
    assert all(np.array_equal(a, split.picture(row)) for a, row in zip(drawn, [2, 5, 0], strict=True))
    assert [ax.get_title() for ax in axes[0]] == ["near:", "light", "dark"]
    assert not axes[1, 2].images and not axes[1, 2].axison  # a place that is left empty has no frame


def test_embedding_has_every_point_once_in_the_colour_of_its_name():
    points = np.arange(8.0).reshape(4, 2)
    names = pd.DataFrame({"animal": ["dog", "cat", "dog", "cat"], "light": ["a", "b", "c", "a"]}, index=[7, 1, 2, 3])
    axes = tl.plot_embedding({"early": points, "late": -points}, names)
    assert axes.shape == (2, 2) and axes[1, 0].get_title() == "early, by light"
    cats, dogs = axes[0, 1].collections
    assert np.array_equal(cats.get_offsets(), -points[[1, 3]]) and np.array_equal(dogs.get_offsets(), -points[[0, 2]])
    assert [text.get_text() for text in axes[0, 1].get_legend().get_texts()] == ["cat", "dog"]
    assert len({tuple(part.get_facecolor()[0]) for part in axes[1, 0].collections}) == 3


def test_many_names_have_a_colour_each_and_more_than_ten_are_refused():
    points, names = np.zeros((22, 2)), [f"{i:02}" for i in range(22)]
    (ax,) = tl.plot_embedding({"x": points[:10]}, pd.DataFrame({"name": names[:10]})).ravel()
    assert len({tuple(part.get_facecolor()[0]) for part in ax.collections}) == 10
    with pytest.raises(ValueError, match=r"at most 10 names can be told apart by colour.*Received: 22 in 'name'"):
        tl.plot_embedding({"x": points}, pd.DataFrame({"name": names}))


def runs():
    rows = [
        {"target": target, "stage": stage, "seed": seed, "weights": weights, "accuracy": 0.1 * place + 0.01 * seed}
        for target in ("fur", "animal")
        for place, stage in enumerate(("late", "early"))  # the table's order holds, not the alphabet's
        for weights in ("pretrained", "twin")
        for seed in range(3)
    ]
    return pd.DataFrame(rows).assign(chance=0.5)


def test_stages_keep_their_order_and_the_line_is_the_mean_of_the_seeds():
    axes = tl.plot_by_stage(runs())
    assert [ax.get_title() for ax in axes] == ["fur", "animal"]
    pretrained, twin, chance = axes[0].lines
    assert list(pretrained.get_xdata()) == ["late", "early"]
    assert np.allclose(pretrained.get_ydata(), [0.01, 0.11]) and twin.get_label() == "twin"
    assert to_rgba(pretrained.get_color()) != to_rgba(twin.get_color())
    assert set(chance.get_ydata()) == {0.5}


def test_band_reaches_from_the_worst_seed_to_the_best():
    band = tl.plot_by_stage(runs())[0].collections[0].get_paths()[0].vertices[:, 1]
    assert np.isclose(band.min(), 0.0) and np.isclose(band.max(), 0.12)


def test_no_line_of_chance_without_one():
    assert len(tl.plot_by_stage(runs().drop(columns="chance"))[0].lines) == 2


@pytest.mark.parametrize("chance", [None, 0.5])
def test_a_label_curve_has_a_level_line_at_chance_if_it_is_told(chance):
    runs = pd.DataFrame([("a", n, seed, n / 100 + seed / 10) for n in (10, 40) for seed in range(2)])
    ax = tl.plot_label_curve(runs.set_axis(["strategy", "labels", "seed", "accuracy"], axis=1), chance=chance)
    level = [line for line in ax.lines if line.get_linestyle() == ":"]
    assert [set(line.get_ydata()) for line in level] == ([] if chance is None else [{chance}])
    curve = next(line for line in ax.lines if line.get_linestyle() == "-")
    np.testing.assert_allclose(curve.get_ydata(), [0.15, 0.45])


def test_plots_draw_on_the_figure_they_are_given():
    figure = plt.figure()
    axes = tl.plot_by_stage(runs(), fig=figure)
    assert all(ax.figure is figure for ax in axes)


def test_work_of_the_stages_is_that_of_the_layers():
    vgg = tl.load_backbone("vgg16", "mini")
    first = 64 * 64 * 3 * 3 * (3 * 16 + 16 * 16)  # two convolutions, 3 to 16 to 16 channels, at 64 x 64
    work = tl.cost_by_stage(vgg.model)
    assert work["block1"] == first and list(work) == list(vgg.stages)
