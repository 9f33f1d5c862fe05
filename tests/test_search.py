"""Search: what is tried, what is recorded, and what is left as it was."""

import keras
import numpy as np
import pytest

import tlteach as tl

SPACE = {"learning_rate": (1e-3, 1e-1), "weight_decay": [0.0, 0.1], "dropout": (0.0, 0.5)}


@pytest.fixture
def vgg():
    return tl.load_backbone("vgg16", "mini")


@pytest.fixture(scope="module")
def few():
    return tl.subset(tl.load_dataset("cats_vs_dogs", "mini"), 60)


def table(study):
    return [(t.params, t.value) for t in study.trials]


def test_it_goes_on_where_it_stopped_and_ends_as_if_it_had_not(vgg, few, tmp_path, monkeypatch):
    phase = tl.Phase(epochs=2)
    whole = tl.search_phase(vgg, few, SPACE, phase=phase, trials=4)
    monkeypatch.setenv("TLTEACH_CACHE", str(tmp_path / "other"))
    tl.search_phase(vgg, few, SPACE, phase=phase, trials=2)
    after = tl.search_phase(vgg, few, SPACE, phase=phase, trials=4)
    assert len(after.trials) == 4
    for (params, value), (expected, truth) in zip(table(after), table(whole), strict=True):
        assert params == expected
        assert value == pytest.approx(truth, abs=1e-5)


def test_a_finished_search_trains_nothing(vgg, few, monkeypatch):
    first = tl.search_phase(vgg, few, SPACE, phase=tl.Phase(epochs=2), trials=2)
    monkeypatch.setattr("tlteach.search.fine_tune", lambda *a, **k: pytest.fail("trained again"))
    assert table(tl.search_phase(vgg, few, SPACE, phase=tl.Phase(epochs=2), trials=2)) == table(first)


def test_the_value_is_the_log_loss_that_plain_keras_finds(vgg, few):
    space = {"learning_rate": [0.01]}
    study = tl.search_phase(vgg, few, space, phase=tl.Phase(epochs=4), trials=1, seed=3)
    model = tl.attach_head(vgg, 2)
    for variable in model.get_layer("head").trainable_variables:
        variable.assign(np.zeros(variable.shape))
    run = tl.fine_tune(model, few, tl.Phase(epochs=4, learning_rate=0.01), seed=3, store=None)
    p = model.predict_on_batch(few.val.sized((64, 64)).array())
    loss = -np.log(np.asarray(p)[np.arange(len(p)), few.val.labels]).mean()
    assert study.best_value == pytest.approx(loss, abs=1e-4)
    assert study.best_trial.user_attrs["epoch"] == run.plan["kept epoch"].iloc[0]


def test_the_backbone_is_put_back_and_the_probe_is_the_start(vgg, few):
    before = [keras.ops.convert_to_numpy(v) for v in vgg.model.variables]
    phase = tl.Phase(("block5", "head"), epochs=1, keep="last")
    study = tl.search_phase(vgg, few, {"learning_rate": [1e-2, 1e-3]}, phase=phase, trials=1)
    for variable, value in zip(vgg.model.variables, before, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), value)
    assert study.best_trial.user_attrs["epoch"] == 1


def test_choices_with_names(vgg, few):
    flips = {"none": None, "left and right": keras.layers.RandomFlip("horizontal", seed=1)}
    study = tl.search_phase(vgg, few, {"augment": flips}, phase=tl.Phase(epochs=1), trials=2)
    assert {t.params["augment"] for t in study.trials} <= set(flips)


def test_ctrl_c_gives_what_there_is(vgg, few, monkeypatch):
    real, calls = tl.fine_tune, []

    def third_is_interrupted(*args, **kwargs):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr("tlteach.search.fine_tune", third_is_interrupted)
    study = tl.search_phase(vgg, few, {"weight_decay": (0.0, 0.2)}, phase=tl.Phase(epochs=1), trials=4, seed=9)
    assert [t.state.name for t in study.trials].count("COMPLETE") == 2
    monkeypatch.setattr("tlteach.search.fine_tune", real)
    again = tl.search_phase(vgg, few, {"weight_decay": (0.0, 0.2)}, phase=tl.Phase(epochs=1), trials=4, seed=9)
    assert [t.state.name for t in again.trials].count("COMPLETE") == 4


@pytest.mark.parametrize(
    "space, sentence",
    [
        ({"rate": [1]}, "space must name fields of Phase .* Received: \\['rate'\\]"),
        ({}, "space must name .* Received: none"),
        ({"epochs": (5, 2)}, "what is tried must be \\(low, high\\), a list or a dict .* Received: epochs=\\(5, 2\\)"),
        ({"epochs": []}, "what is tried must be"),
    ],
)
def test_a_space_that_makes_no_sense(vgg, few, space, sentence):
    with pytest.raises(ValueError, match=sentence):
        tl.search_phase(vgg, few, space, trials=1)


def test_the_plot_marks_the_best(vgg, few):
    study = tl.search_phase(vgg, few, SPACE, phase=tl.Phase(epochs=3), trials=4)
    trials, *settings = tl.plot_search(study)
    scales = {ax.get_xlabel(): ax.get_xscale() for ax in settings}
    assert scales == {"learning rate": "log", "weight decay": "linear", "dropout": "linear"}
    best = trials.collections[-1].get_offsets()[0]
    assert best.tolist() == pytest.approx([study.best_trial.number + 1, study.best_value])
